//! `--histogram`: how often each time occurred, a panel for each line of the table.
//!
//! All panels share one axis, in multiples of the shortest bare reading of their own row, so that they can be read
//! beside each other; it counts in powers, because what matters is the tail.

use super::drawing::{Area, COLOURS, Drawn, FONT, GREY, GRID, TITLE, svg};
use super::support::table::Line;
use plotters::prelude::*;

const PANEL: u32 = 150;
/// Bins of one panel, and the largest multiple shown; what is beyond stands in the last bin.
const BINS: usize = 160;
const MOST: f64 = 100.0;

/// Draws the SVG into a string.
pub fn draw(processor: &str, lines: &[Line]) -> Result<String, String> {
    let subtitle = format!("{processor}; time over the fastest bare reading of the row; grey: the bare reading itself");
    let height = TITLE + 20 + PANEL * lines.len().max(1) as u32;
    svg(height, "How long each call took", &subtitle, |area| {
        for (line, panel) in lines.iter().zip(area.split_evenly((lines.len().max(1), 1))) {
            draw_panel(&panel, line)?;
        }
        Ok(())
    })
}

/// The bin of a multiple, counted in powers from 0.8 on.
fn bin(multiple: f64) -> usize {
    let share = (multiple / 0.8).ln() / (MOST / 0.8).ln();
    ((share * BINS as f64) as usize).min(BINS - 1)
}

/// Where a bin begins.
fn edge(bin: usize) -> f64 {
    0.8 * (MOST / 0.8).powf(bin as f64 / BINS as f64)
}

fn draw_panel(area: &Area<'_>, line: &Line) -> Drawn {
    let unit = line.measured.floor.minimum.max(1) as f64;
    let count = |durations: &[u64]| {
        let mut bins = [0u32; BINS];
        durations.iter().for_each(|&duration| bins[bin(duration as f64 / unit)] += 1);
        bins
    };
    let (floors, stages) = (count(&line.measured.floors), count(&line.measured.stages));
    let most = floors.iter().chain(&stages).copied().max().unwrap_or(1);
    let memory = if line.cold { "cold" } else { "hot" };
    let multiple = |nanoseconds: u64| nanoseconds as f64 / unit;
    let of = line.measured.stage;
    let caption = format!(
        "{}, {}, {} tokens, {}, {memory}: median {:.2}, p99 {:.2}, p99.9 {:.2}",
        line.stage,
        line.row,
        line.vocab,
        line.level,
        multiple(of.median),
        multiple(of.p99),
        multiple(of.p999)
    );
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 14).into_font().color(&BLACK))
        .margin(4)
        .margin_left(16)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(48)
        .build_cartesian_2d((0.8..MOST).log_scale(), 0.0..f64::from(most) * 1.05)?;
    chart
        .configure_mesh()
        .y_labels(3)
        .x_label_formatter(&|multiple| format!("{multiple}"))
        .label_style((FONT, 11))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .draw()?;
    for (bins, colour) in [(&floors, GREY), (&stages, COLOURS[0])] {
        let bars = bins.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bin, &count)| {
            Rectangle::new([(edge(bin), 0.0), (edge(bin + 1), f64::from(count))], colour.mix(0.6).filled())
        });
        chart.draw_series(bars)?;
    }
    for (at, colour) in [(of.median, COLOURS[0]), (of.p999, COLOURS[1])] {
        let x = multiple(at).clamp(0.8, MOST);
        chart.draw_series([PathElement::new([(x, 0.0), (x, f64::from(most))], colour.stroke_width(1))])?;
    }
    Ok(())
}
