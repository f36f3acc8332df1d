// SPDX-License-Identifier: MIT OR Apache-2.0
//! One drawing, two formats.
//!
//! Colours are of the palette of Okabe and Ito, which people tell apart who see colours
//! differently; and no two things differ by colour alone.

use std::sync::Once;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const GREY: RGBColor = RGBColor(110, 110, 110);
pub const GRID: RGBColor = RGBColor(222, 222, 222);

/// The bitmap is drawn this many times larger …
const DRAWN: u32 = 4;
/// … and shown this many times larger, so that edges are smooth.
const SHOWN: u32 = 2;

/// Where a figure is drawn: with text and lines for people, whatever the format.
pub struct Canvas<'a, B: DrawingBackend> {
    pub area: &'a DrawingArea<B, Shift>,
    /// Pixels in one unit of length.
    scale: u32,
}

impl<B: DrawingBackend> Canvas<'_, B>
where
    B::ErrorType: 'static,
{
    /// A length in pixels.
    pub fn px(&self, length: u32) -> u32 {
        length * self.scale
    }

    /// A place in pixels.
    pub fn at(&self, x: i32, y: i32) -> (i32, i32) {
        (x * self.scale as i32, y * self.scale as i32)
    }

    /// A font of `size`.
    pub fn font(&self, size: u32) -> FontDesc<'static> {
        ("sans-serif", self.px(size)).into_font()
    }

    /// A bold font of `size`. (`FontDesc::style` would keep the glyphs of the normal one.)
    pub fn bold(&self, size: u32) -> FontDesc<'static> {
        ("sans-serif", self.px(size), FontStyle::Bold).into_font()
    }

    /// The lines of a title, from the top left.
    pub fn title(&self, lines: &[String]) -> Result<()> {
        let font = self.bold(18).color(&INK);
        for (line, y) in lines.iter().zip((14..).step_by(23)) {
            self.area
                .draw_text(line, &font, self.at(16, y))
                .map_err(drawing)?;
        }
        Ok(())
    }
}

/// Something that can be drawn.
pub trait Figure {
    /// Its width and height.
    fn size(&self) -> (u32, u32);
    /// Draws it as text.
    fn draw_svg(&self, canvas: &Canvas<'_, SVGBackend<'_>>) -> Result<()>;
    /// Draws it as pixels.
    fn draw_bitmap(&self, canvas: &Canvas<'_, BitMapBackend<'_>>) -> Result<()>;
    /// It in words, for those who do not see it.
    fn description(&self) -> String;
}

/// The figure as SVG.
pub fn svg(figure: &dyn Figure) -> Result<String> {
    prepare_fonts();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, figure.size()).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let canvas = Canvas {
            area: &area,
            scale: 1,
        };
        figure.draw_svg(&canvas)?;
        area.present().map_err(drawing)?;
    }
    Ok(text)
}

/// The figure as PNG.
pub fn png(figure: &dyn Figure) -> Result<Vec<u8>> {
    prepare_fonts();
    let (width, height) = figure.size();
    let drawn = (width * DRAWN, height * DRAWN);
    let mut pixels = vec![255; (drawn.0 * drawn.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, drawn).into_drawing_area();
        let canvas = Canvas {
            area: &area,
            scale: DRAWN,
        };
        figure.draw_bitmap(&canvas)?;
        area.present().map_err(drawing)?;
    }
    let shown = (width * SHOWN, height * SHOWN);
    let pixels = shrunk(&pixels, drawn.0 as usize, (DRAWN / SHOWN) as usize);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, shown.0, shown.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

/// Each pixel the mean of `by` times `by`.
fn shrunk(pixels: &[u8], width: usize, by: usize) -> Vec<u8> {
    let rows: Vec<&[u8]> = pixels.chunks_exact(width * 3).collect();
    let mut small = Vec::with_capacity(pixels.len() / (by * by));
    for rows in rows.chunks_exact(by) {
        for x in 0..width / by {
            for channel in 0..3 {
                let sum: usize = rows
                    .iter()
                    .flat_map(|row| {
                        (0..by).map(move |dx| row[(x * by + dx) * 3 + channel] as usize)
                    })
                    .sum();
                small.push((sum / (by * by)) as u8);
            }
        }
    }
    small
}

/// A host may have no fonts; DejaVu comes with the program. It also tells how wide a text is, in
/// either format.
fn prepare_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let regular = dejavu::sans::regular();
        let bold = dejavu::sans::bold();
        for (style, font) in [(FontStyle::Normal, regular), (FontStyle::Bold, bold)] {
            // It fails for a file that is no font only; then drawing says that there is none.
            let _ = register_font("sans-serif", style, font);
        }
    });
}

/// An error of the drawing library.
pub fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}
