// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bars for each step, in columns of a unit each.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{BLUE, Canvas, Figure, GREY, INK, drawing};
use super::samples::Sample;

const WIDTH: i32 = 760;
/// What the title and the columns' heads take.
const HEAD: i32 = 104;
const ROW: i32 = 30;
const FOOT: i32 = 16;
/// Where the bars of each column begin, and how long they are at most.
const COLUMNS: [i32; 3] = [200, 385, 570];
const LONGEST: i32 = 120;

/// What a column shows, with its unit, and how its figures are written.
struct Column {
    head: [&'static str; 2],
    value: fn(&Sample) -> f64,
    decimals: usize,
}

const SHOWN: [Column; 3] = [
    Column {
        head: ["VMAs", "(number)"],
        value: |sample| sample.vmas as f64,
        decimals: 0,
    },
    Column {
        head: ["resident memory", "(MiB)"],
        value: |sample| sample.rss as f64 / (1 << 20) as f64,
        decimals: 1,
    },
    Column {
        head: ["page tables", "(KiB)"],
        value: |sample| sample.page_tables as f64 / 1024.0,
        decimals: 0,
    },
];

/// See the module.
pub struct Bars {
    title: Vec<String>,
    rows: Vec<(String, [f64; 3])>,
}

impl Bars {
    pub fn new(title: &[&str], samples: &[Sample]) -> Self {
        let row = |sample: &Sample| {
            let values = SHOWN.map(|column| (column.value)(sample));
            (sample.step.clone(), values)
        };
        Self {
            title: title.iter().map(|line| (*line).to_owned()).collect(),
            rows: samples.iter().map(row).collect(),
        }
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        canvas.title(&self.title)?;
        for (index, (step, _)) in self.rows.iter().enumerate() {
            let step = format!("{}. {step}", index + 1);
            text(canvas, &step, &INK, (16, middle(index)))?;
        }
        for ((column, shown), x) in SHOWN.iter().enumerate().zip(COLUMNS) {
            for (line, head) in shown.head.iter().enumerate() {
                let colour = if line == 0 { &INK } else { &GREY };
                text(canvas, head, colour, (x, HEAD - 34 + 17 * line as i32))?;
            }
            let values: Vec<f64> = self.rows.iter().map(|row| row.1[column]).collect();
            draw_column(canvas, &values, shown.decimals, x)?;
            let ends = vec![canvas.at(x, HEAD - 4), canvas.at(x, self.height() - FOOT)];
            let axis = PathElement::new(ends, INK.stroke_width(canvas.px(1)));
            canvas.area.draw(&axis).map_err(drawing)?;
        }
        Ok(())
    }

    fn height(&self) -> i32 {
        HEAD + ROW * self.rows.len() as i32 + FOOT
    }
}

/// A bar with its number in each row, from `x` on.
fn draw_column<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    values: &[f64],
    decimals: usize,
    x: i32,
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let longest = values.iter().copied().fold(1.0, f64::max);
    for (index, value) in values.iter().enumerate() {
        let length = (value / longest * f64::from(LONGEST)) as i32;
        let y = middle(index);
        let corners = [canvas.at(x, y - 9), canvas.at(x + length, y + 9)];
        let bar = Rectangle::new(corners, BLUE.filled());
        canvas.area.draw(&bar).map_err(drawing)?;
        text(
            canvas,
            &format!("{value:.decimals$}"),
            &INK,
            (x + length + 6, y),
        )?;
    }
    Ok(())
}

/// A text whose left end has its middle at a place.
fn text<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    text: &str,
    colour: &RGBColor,
    (x, y): (i32, i32),
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let style = canvas.font(14).color(colour);
    let style = style.pos(Pos::new(HPos::Left, VPos::Center));
    canvas
        .area
        .draw_text(text, &style, canvas.at(x, y))
        .map_err(drawing)
}

/// The middle of a row.
fn middle(index: usize) -> i32 {
    HEAD + ROW * index as i32 + ROW / 2
}

impl Figure for Bars {
    fn size(&self) -> (u32, u32) {
        (WIDTH as u32, self.height() as u32)
    }

    fn draw_svg(&self, canvas: &Canvas<'_, SVGBackend<'_>>) -> Result<()> {
        self.draw(canvas)
    }

    fn draw_bitmap(&self, canvas: &Canvas<'_, BitMapBackend<'_>>) -> Result<()> {
        self.draw(canvas)
    }

    fn description(&self) -> String {
        format!("{}. Bars for each step.", self.title.join(" "))
    }
}
