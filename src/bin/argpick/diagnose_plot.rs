//! `argpick diagnose --plot`: the reliability diagram, and the rows by entropy and top-1 probability, as an SVG.
//!
//! Text stays text in the SVG and needs no font file.

use crate::diagnose::{Findings, verdict_name};
use argpick::Verdict;
use argpick::lab::Reliability;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::path::Path;

const WIDTH: u32 = 1100;
const HEIGHT: u32 = 620;
const TITLE: u32 = 60;
const FONT: &str = "sans-serif";
const GRID: RGBColor = RGBColor(232, 232, 232);
const GREY: RGBColor = RGBColor(120, 120, 120);
const RAW: RGBColor = RGBColor(31, 119, 180);
const DRAWN: RGBColor = RGBColor(255, 127, 14);

/// The most rows that are drawn as points; of more, every n-th.
const MOST_POINTS: usize = 5000;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws the SVG into a string.
pub fn draw(found: &Findings, file: &Path) -> Result<String, String> {
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (WIDTH, HEIGHT)).into_drawing_area();
        let drawn = draw_on(&root, found, file).and_then(|()| Ok(root.present()?));
        drawn.map_err(|error| format!("the plot cannot be drawn: {error}"))?;
    }
    Ok(drawing)
}

fn draw_on(root: &Area<'_>, found: &Findings, file: &Path) -> Drawn {
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE);
    let sums = &found.assessment;
    let name: String = file.file_name().unwrap_or_default().to_string_lossy().chars().take(60).collect();
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    title.draw(&Text::new("Rows against their targets", (24, 14), (FONT, 24).into_font().color(&BLACK)))?;
    let subtitle = format!(
        "{clean}: {} rows, greedy accuracy {:.3}, expected calibration error {:.3}",
        sums.rows(),
        sums.greedy_accuracy(),
        sums.raw().expected_error()
    );
    title.draw(&Text::new(subtitle, (24, 42), (FONT, 14).into_font().color(&GREY)))?;
    let (left, right) = rest.split_horizontally(WIDTH / 2);
    reliability(&left, found)?;
    rows(&right, found)
}

/// Accuracy over confidence: bars for temperature 1, points for the draws, the diagonal for what would be calibrated.
fn reliability(area: &Area<'_>, found: &Findings) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption("Reliability", (FONT, 16).into_font().color(&BLACK))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("probability of the argmax")
        .y_desc("how often it is the target")
        .axis_desc_style((FONT, 13))
        .label_style((FONT, 12))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .draw()?;
    let raw = found.assessment.raw();
    let count = raw.bins().len() as f64;
    let filled = |diagram: &Reliability| {
        let bins = diagram.bins().iter().enumerate().filter(|(_, bin)| bin.rows > 0);
        bins.map(|(index, bin)| (index as f64, bin.confidence(), bin.accuracy())).collect::<Vec<_>>()
    };
    let bar = |(index, _, accuracy): (f64, f64, f64)| {
        Rectangle::new([(index / count, 0.0), ((index + 1.0) / count, accuracy)], RAW.mix(0.35).filled())
    };
    chart.draw_series(filled(raw).into_iter().map(bar))?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], GREY.stroke_width(1)))?;
    let mut shown = vec![(raw, RAW, "at temperature 1")];
    if !found.is_plain {
        shown.push((found.assessment.configured(), DRAWN, "as drawn"));
    }
    for (diagram, colour, name) in shown {
        let points: Vec<(f64, f64)> =
            filled(diagram).into_iter().map(|(_, confidence, accuracy)| (confidence, accuracy)).collect();
        let label = format!("{name}: expected error {:.3}", diagram.expected_error());
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        chart
            .draw_series(points.into_iter().map(|point| Circle::new(point, 4, colour.filled())))?
            .label(label)
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// The rows by entropy and probability of the argmax, coloured by verdict.
fn rows(area: &Area<'_>, found: &Findings) -> Drawn {
    let highest = found.looked.iter().map(|looked| f64::from(looked.found.score.entropy)).fold(0.0, f64::max);
    let right = if highest > 0.0 { highest * 1.05 } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .caption("Rows", (FONT, 16).into_font().color(&BLACK))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..right, 0.0..1.02)?;
    chart
        .configure_mesh()
        .x_desc("entropy (nats, temperature 1)")
        .y_desc("probability of the argmax")
        .y_labels(6)
        .axis_desc_style((FONT, 13))
        .label_style((FONT, 12))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .draw()?;
    let stride = found.looked.len().div_ceil(MOST_POINTS).max(1);
    let verdicts = [
        (Verdict::Healthy, RGBColor(44, 160, 44)),
        (Verdict::Flat, RGBColor(148, 103, 189)),
        (Verdict::Saturated, RGBColor(214, 39, 40)),
    ];
    for (verdict, colour) in verdicts {
        let rows = found.looked.iter().step_by(stride).filter(|looked| looked.found.verdict == verdict);
        let points = rows.map(|looked| {
            let score = &looked.found.score;
            Circle::new((f64::from(score.entropy), f64::from(score.top1_probability)), 3, colour.mix(0.6).filled())
        });
        chart
            .draw_series(points)?
            .label(format!("{}: {}", verdict_name(verdict), found.assessment.count(verdict)))
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
    }
    legend(&mut chart, SeriesLabelPosition::UpperRight)
}

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Puts the legend where the points leave room.
fn legend<'a>(chart: &mut Chart<'a>, position: SeriesLabelPosition) -> Drawn {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font((FONT, 12))
        .draw()?;
    Ok(())
}
