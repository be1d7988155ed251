//! `--plot`: entropy, top-1 probability and margin over the steps, one line per text, as an SVG.
//!
//! Three panels share the steps as their x axis; the legend has its own column at the right, so that nothing overlaps.
//! Text stays text in the SVG and needs no font file.

use crate::report::Shown;
use argpick::sandbox::session::Step;
use argpick::sandbox::trace::mode_name;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 1100;
const HEIGHT: u32 = 900;
const TITLE: u32 = 60;
const LEGEND: u32 = 280;
const FONT: &str = "sans-serif";

/// Lines told apart by colour; more texts than this are drawn in grey behind them and counted in the legend.
const COLOURS: [RGBColor; 12] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(23, 190, 207),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(127, 127, 127),
    RGBColor(188, 189, 34),
    RGBColor(0, 60, 120),
    RGBColor(120, 0, 60),
];
const GREY: RGBColor = RGBColor(205, 205, 205);

/// The most characters of a prompt in the legend.
const LABEL: usize = 32;

struct Panel {
    name: &'static str,
    axis: &'static str,
    value: fn(&Step) -> f32,
    /// The axis ends here, else at the largest value.
    limit: Option<f64>,
}

const PANELS: [Panel; 3] = [
    Panel { name: "Entropy", axis: "nats", value: |step| step.entropy, limit: None },
    Panel { name: "Top-1 probability", axis: "probability", value: |step| step.top1_probability, limit: Some(1.0) },
    Panel { name: "Margin (top-1 minus top-2 logit)", axis: "logits", value: |step| step.margin, limit: None },
];

/// Draws the SVG into a string.
pub fn draw(shown: &Shown<'_>) -> Result<String, String> {
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (WIDTH, HEIGHT)).into_drawing_area();
        draw_on(&root, shown).map_err(|error| format!("the plot cannot be drawn: {error}"))?;
        root.present().map_err(|error| format!("the plot cannot be drawn: {error}"))?;
    }
    Ok(drawing)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_on(root: &Area<'_>, shown: &Shown<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE);
    let (charts, legend) = rest.split_horizontally(WIDTH - LEGEND);
    title.draw(&Text::new("How sure each step was", (24, 14), (FONT, 24).into_font().color(&BLACK)))?;
    let options = shown.options;
    let subtitle = format!(
        "{}, temperature {}; {} of {}",
        mode_name(options.mode),
        options.temperature,
        if shown.texts.len() == 1 { "1 text".to_owned() } else { format!("{} texts", shown.texts.len()) },
        cut(shown.model.origin().rsplit(['/', '\\']).next().unwrap_or_default(), 60)
    );
    title.draw(&Text::new(subtitle, (24, 42), (FONT, 14).into_font().color(&RGBColor(90, 90, 90))))?;
    for (panel, area) in PANELS.iter().zip(charts.split_evenly((PANELS.len(), 1))) {
        draw_panel(&area, shown, panel)?;
    }
    draw_legend(&legend, shown)
}

fn draw_panel(area: &Area<'_>, shown: &Shown<'_>, panel: &Panel) -> Drawn {
    let curves: Vec<Vec<(f64, f64)>> = shown
        .texts
        .iter()
        .map(|text| {
            let points = text.steps.iter().map(|step| (f64::from(step.step), f64::from((panel.value)(step))));
            // A margin is infinite where the rules leave one choice: a gap would hide it, so it is left out.
            points.filter(|(_, value)| value.is_finite()).collect()
        })
        .collect();
    let points = || curves.iter().flatten();
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let top = panel.limit.unwrap_or(if highest > 0.0 { highest * 1.05 } else { 1.0 });
    let mut chart = ChartBuilder::on(area)
        .caption(panel.name, (FONT, 16).into_font().color(&BLACK))
        .margin(8)
        .margin_left(16)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..last, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(panel.axis)
        .x_labels((last as usize + 1).min(16))
        .y_labels(6)
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { String::new() })
        .axis_desc_style((FONT, 13))
        .label_style((FONT, 12))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(232, 232, 232))
        .draw()?;
    // Grey first, so that the coloured lines lie on top.
    for (index, curve) in curves.iter().enumerate().rev() {
        let colour = COLOURS.get(index).copied().unwrap_or(GREY);
        chart.draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(curve.iter().map(|&point| Circle::new(point, 2, colour.filled())))?;
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, shown: &Shown<'_>) -> Drawn {
    let style = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    let row = |index: usize| 40 + 24 * index as i32;
    for (index, (text, colour)) in shown.texts.iter().zip(COLOURS).enumerate() {
        let y = row(index);
        area.draw(&PathElement::new([(8, y), (32, y)], colour.stroke_width(3)))?;
        area.draw(&Text::new(format!("[{}] {}", index + 1, cut(&text.context, LABEL)), (40, y), style.clone()))?;
    }
    if shown.texts.len() > COLOURS.len() {
        let y = row(COLOURS.len());
        area.draw(&PathElement::new([(8, y), (32, y)], GREY.stroke_width(3)))?;
        area.draw(&Text::new(format!("{} more texts", shown.texts.len() - COLOURS.len()), (40, y), style))?;
    }
    Ok(())
}

/// At most `most` characters of a text, on one line and without what XML cannot hold.
fn cut(text: &str, most: usize) -> String {
    let mut clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut label: String = clean.by_ref().take(most).collect();
    if clean.next().is_some() {
        label.push('…');
    }
    label
}
