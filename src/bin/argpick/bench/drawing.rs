//! What the pictures of this command share.

use plotters::prelude::*;

/// Width of a picture.
pub const WIDTH: u32 = 1200;
/// Height of the title above the panels.
pub const TITLE: u32 = 60;
/// Text stays text in the SVG and needs no font file.
pub const FONT: &str = "sans-serif";
/// The floor is always grey.
pub const GREY: RGBColor = RGBColor(120, 120, 120);
/// Lines of the grid.
pub const GRID: RGBColor = RGBColor(232, 232, 232);

/// Curves are told apart by colour.
pub const COLOURS: [RGBColor; 12] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(23, 190, 207),
    RGBColor(188, 189, 34),
    RGBColor(0, 60, 120),
    RGBColor(120, 0, 60),
    RGBColor(0, 90, 40),
];

pub type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// An SVG with a title, a line below it, and whatever `fill` draws into the rest.
pub fn svg(height: u32, title: &str, subtitle: &str, fill: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, String> {
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (WIDTH, height)).into_drawing_area();
        let draw = || -> Drawn {
            root.fill(&WHITE)?;
            let (head, rest) = root.split_vertically(TITLE);
            head.draw(&Text::new(title.to_owned(), (24, 12), (FONT, 22).into_font().color(&BLACK)))?;
            head.draw(&Text::new(subtitle.to_owned(), (24, 40), (FONT, 14).into_font().color(&GREY)))?;
            fill(&rest)?;
            root.present()?;
            Ok(())
        };
        draw().map_err(|error| format!("the picture cannot be drawn: {error}"))?;
    }
    Ok(drawing)
}
