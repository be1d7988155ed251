//! `--plot`: how the time grows, one picture for each thing that can grow.

use super::drawing::{COLOURS, FONT, GREY, GRID, WIDTH, svg};
use super::support::curves::{Curves, Figure, Named, Point};
use super::{NamedRow, finish, pending};
use crate::{Failure, remark};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;
use std::path::Path;

const HEIGHT: u32 = 640;
const LEGEND: u32 = 390;

/// Measures and writes all pictures; returns their points as text.
pub fn write(
    curves: &Curves,
    longest: usize,
    rows: &[NamedRow],
    processor: &str,
    folder: &Path,
) -> Result<String, Failure> {
    let named: Vec<Named<'_>> = rows.iter().map(|row| (row.name.as_str(), &row.logits[..])).collect();
    let mut text = String::new();
    for which in ["vocabulary", "k", "p", "history", "batch"] {
        remark(format_args!("time against {which}, {}", curves.level));
        let figure = match which {
            "vocabulary" => curves.over_vocabulary(longest)?,
            "k" => curves.over_k(&named)?,
            "p" => curves.over_p(&named)?,
            "history" => curves.over_history(&named)?,
            _ => curves.over_batch(&named)?,
        };
        let subtitle = format!(
            "{processor}, {}, hot, the fastest of {} rounds unless said otherwise; dashed: the bare reading in the same rounds",
            curves.level, curves.rounds
        );
        let path = folder.join(format!("{}-{}.svg", figure.file, curves.level));
        finish(pending(&path)?, &draw(&figure, &subtitle)?)?;
        list(&figure, &mut text);
    }
    Ok(text)
}

/// The points of a picture, as text that is also Markdown.
fn list(figure: &Figure, text: &mut String) {
    let _ =
        writeln!(text, "{}\n\n| {} | curve | us | floor us | x |\n|--:|:--|--:|--:|--:|", figure.title, figure.axis);
    for curve in &figure.curves {
        for (&(at, time), &(_, floor)) in curve.times.iter().zip(&curve.floors) {
            let _ = writeln!(text, "| {at} | {} | {time:.2} | {floor:.2} | {:.2} |", curve.name, time / floor);
        }
    }
    text.push('\n');
}

fn draw(figure: &Figure, subtitle: &str) -> Result<String, String> {
    let points = || figure.curves.iter().flat_map(|curve| curve.times.iter().chain(&curve.floors));
    let span = |of: fn(&Point) -> f64| {
        let (least, most) = points().map(of).fold((f64::MAX, 0.0), |(a, b), x| (f64::min(a, x), f64::max(b, x)));
        // A curve of one point has no width of its own.
        if least < most { (least, most) } else { (most / 2.0, most * 2.0) }
    };
    let (from, to) = span(|point| point.0);
    let (least, most) = span(|point| point.1);
    svg(HEIGHT, &figure.title, subtitle, |area| {
        let (chart, legend) = area.split_horizontally(WIDTH - LEGEND);
        let (powers, times) = ((from..to).log_scale(), (least / 1.3..most * 1.3).log_scale());
        // Within one power of ten an axis of powers has hardly a label.
        match (figure.is_logarithmic, most / least < 12.0) {
            (true, true) => draw_curves(&chart, figure, powers, 0.0..most * 1.1)?,
            (true, false) => draw_curves(&chart, figure, powers, times)?,
            (false, true) => draw_curves(&chart, figure, 0.0..to, 0.0..most * 1.1)?,
            (false, false) => draw_curves(&chart, figure, 0.0..to, times)?,
        }
        let style = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        for (index, (curve, colour)) in figure.curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let y = 40 + 24 * index as i32;
            legend.draw(&PathElement::new([(8, y), (32, y)], colour.stroke_width(3)))?;
            legend.draw(&Text::new(curve.name.clone(), (40, y), style.clone()))?;
        }
        Ok(())
    })
}

fn draw_curves<X, Y>(area: &super::drawing::Area<'_>, figure: &Figure, x: X, y: Y) -> super::drawing::Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_left(16)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(figure.axis)
        .y_desc("microseconds")
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .axis_desc_style((FONT, 14))
        .label_style((FONT, 12))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .draw()?;
    for (curve, colour) in figure.curves.iter().zip(COLOURS.iter().cycle()) {
        let floor = DashedLineSeries::new(curve.floors.iter().copied(), 5, 4, colour.mix(0.7).stroke_width(1));
        chart.draw_series(floor)?;
        chart.draw_series(curve.floors.iter().map(|&point| Circle::new(point, 1, GREY.filled())))?;
    }
    for (curve, colour) in figure.curves.iter().zip(COLOURS.iter().cycle()) {
        chart.draw_series(LineSeries::new(curve.times.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(curve.times.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
    }
    Ok(())
}

/// A label: no more digits than it needs.
fn short(value: &f64) -> String {
    if *value >= 1_000_000.0 {
        format!("{}M", value / 1_000_000.0)
    } else if *value >= 1_000.0 {
        format!("{}k", value / 1_000.0)
    } else {
        format!("{}", (value * 1000.0).round() / 1000.0)
    }
}
