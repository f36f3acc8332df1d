// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bars for each step, in columns of a unit each.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{drawing, Canvas, Figure, BLUE, GREY, INK};
use super::measure::Sample;

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
        value: |sample| sample.layout.vma_count as f64,
        decimals: 0,
    },
    Column {
        head: ["resident memory", "(MiB)"],
        value: |sample| sample.rss() as f64 / (1 << 20) as f64,
        decimals: 1,
    },
    Column {
        head: ["page tables", "(KiB)"],
        value: |sample| sample.layout.page_tables as f64 / 1024.0,
        decimals: 0,
    },
];

/// See the module.
pub struct Steps {
    title: Vec<String>,
    rows: Vec<(String, [f64; 3])>,
}

impl Steps {
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
        let text = |text: &str, size, colour: &RGBColor, (x, y), side| {
            let style = canvas.font(size).color(colour);
            let style = style.pos(Pos::new(side, VPos::Center));
            canvas
                .area
                .draw_text(text, &style, canvas.at(x, y))
                .map_err(drawing)
        };
        for (index, (step, _)) in self.rows.iter().enumerate() {
            let step = format!("{}. {step}", index + 1);
            text(&step, 14, &INK, (16, middle(index)), HPos::Left)?;
        }
        for ((column, shown), x) in SHOWN.iter().enumerate().zip(COLUMNS) {
            for (line, head) in shown.head.iter().enumerate() {
                let y = HEAD - 34 + 17 * line as i32;
                text(
                    head,
                    14,
                    if line == 0 { &INK } else { &GREY },
                    (x, y),
                    HPos::Left,
                )?;
            }
            let longest = self
                .rows
                .iter()
                .map(|row| row.1[column])
                .fold(1.0, f64::max);
            for (index, (_, values)) in self.rows.iter().enumerate() {
                let value = values[column];
                let length = (value / longest * f64::from(LONGEST)) as i32;
                let y = middle(index);
                let corners = [canvas.at(x, y - 9), canvas.at(x + length, y + 9)];
                let bar = Rectangle::new(corners, BLUE.filled());
                canvas.area.draw(&bar).map_err(drawing)?;
                let number = format!("{value:.*}", shown.decimals);
                text(&number, 14, &INK, (x + length + 6, y), HPos::Left)?;
            }
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

/// The middle of a row.
fn middle(index: usize) -> i32 {
    HEAD + ROW * index as i32 + ROW / 2
}

impl Figure for Steps {
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
