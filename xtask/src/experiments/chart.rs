// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines over an axis of numbers.

use anyhow::Result;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{BLUE, Canvas, Figure, GREY, GRID, INK, VERMILION, drawing};

const SIZE: (u32, u32) = (760, 470);
/// What the title takes.
const HEAD: u32 = 70;

/// An axis that begins at 0.
pub struct Axis {
    label: String,
}

impl Axis {
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
        }
    }
}

/// What stands at each point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    None,
    Disc,
    Square,
}

/// How the points are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// Where a name stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the left of its point, and above.
    Above,
    /// To the right of its point, and below.
    Below,
}

/// A line with its name beside it.
pub struct Series {
    pub label: String,
    /// The index of the point at which the name stands.
    pub label_at: usize,
    /// On which side of the line.
    pub side: Side,
    pub marker: Marker,
    pub dash: Dash,
    pub points: Vec<(f64, f64)>,
}

impl Series {
    fn colour(&self) -> RGBColor {
        match self.marker {
            Marker::None => GREY,
            Marker::Disc => BLUE,
            Marker::Square => VERMILION,
        }
    }
}

/// A border between two phases.
pub struct Note {
    pub x: f64,
    pub left: String,
    pub right: String,
}

/// See the module.
pub struct Chart {
    /// Its lines state the finding.
    pub title: Vec<String>,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    pub notes: Vec<Note>,
}

impl Figure for Chart {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn draw_svg(&self, canvas: &Canvas<'_, SVGBackend<'_>>) -> Result<()> {
        self.draw(canvas)
    }

    fn draw_bitmap(&self, canvas: &Canvas<'_, BitMapBackend<'_>>) -> Result<()> {
        self.draw(canvas)
    }

    fn description(&self) -> String {
        format!(
            "{}. Lines over {}: {}; height: {}.",
            self.title.join(" "),
            self.x.label,
            self.series
                .iter()
                .map(|series| series.label.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            self.y.label
        )
    }
}

impl Chart {
    fn highest(&self, coordinate: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.map(coordinate).fold(0.0, f64::max)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        canvas.title(&self.title)?;
        let (x_end, y_end) = (self.highest(|p| p.0) * 1.02, self.highest(|p| p.1) * 1.08);
        let mut chart = ChartBuilder::on(canvas.area)
            .margin_top(canvas.px(HEAD))
            .margin_left(canvas.px(14))
            .margin_right(canvas.px(24))
            .margin_bottom(canvas.px(12))
            .x_label_area_size(canvas.px(48))
            .y_label_area_size(canvas.px(52))
            .build_cartesian_2d(0.0..x_end, 0.0..y_end)
            .map_err(drawing)?;
        let label = canvas.font(14).color(&INK);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(canvas.px(1)))
            .axis_style(INK.stroke_width(canvas.px(1)))
            .label_style(label.clone())
            .axis_desc_style(canvas.font(15).color(&INK))
            .x_label_formatter(&|value| format!("{value}"))
            .y_label_formatter(&|value| format!("{value}"))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .set_all_tick_mark_size(canvas.px(4))
            .draw()
            .map_err(drawing)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        for note in &self.notes {
            draw_note(canvas, note, [at(note.x, 0.0), at(note.x, y_end)])?;
        }
        for series in &self.series {
            let places: Vec<_> = series.points.iter().map(|(x, y)| at(*x, *y)).collect();
            draw_line(canvas, series, &places)?;
            draw_markers(canvas, series, &places)?;
            if let Some(place) = places.get(series.label_at) {
                draw_label(canvas, series, *place)?;
            }
        }
        Ok(())
    }
}

/// Draws the border, from one place in pixels to the other, and what lies on each side.
fn draw_note<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    note: &Note,
    [bottom, top]: [(i32, i32); 2],
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let line = PathElement::new(vec![bottom, top], GREY.stroke_width(canvas.px(1)));
    canvas.area.draw(&line).map_err(drawing)?;
    for (text, side, gap) in [(&note.left, HPos::Right, -8), (&note.right, HPos::Left, 8)] {
        let style = canvas.font(14).color(&GREY).pos(Pos::new(side, VPos::Top));
        let (dx, dy) = canvas.at(gap, 4);
        let place = (top.0 + dx, top.1 + dy);
        canvas
            .area
            .draw_text(text, &style, place)
            .map_err(drawing)?;
    }
    Ok(())
}

/// Joins places in pixels.
fn draw_line<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    series: &Series,
    places: &[(i32, i32)],
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let stroke = series.colour().stroke_width(canvas.px(2));
    let px = |length| canvas.px(length) as i32;
    let dashes = |on, off| DashedPathElement::new(places.iter().copied(), px(on), px(off), stroke);
    match series.dash {
        Dash::Solid => canvas.area.draw(&PathElement::new(places, stroke)),
        Dash::Dashed => canvas.area.draw(&dashes(9, 5)),
        Dash::Dotted => canvas.area.draw(&dashes(2, 5)),
    }
    .map_err(drawing)
}

fn draw_markers<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    series: &Series,
    places: &[(i32, i32)],
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let colour = series.colour();
    let size = canvas.px(4) as i32;
    for &(x, y) in places {
        match series.marker {
            Marker::None => Ok(()),
            Marker::Disc => canvas
                .area
                .draw(&Circle::new((x, y), size, colour.filled())),
            Marker::Square => {
                let corners = [(x - size, y - size), (x + size, y + size)];
                let border = colour.stroke_width(canvas.px(2));
                // Hollow, so that it can be told from a disc without its colour.
                canvas
                    .area
                    .draw(&Rectangle::new(corners, WHITE.filled()))
                    .and_then(|()| canvas.area.draw(&Rectangle::new(corners, border)))
            }
        }
        .map_err(drawing)?;
    }
    Ok(())
}

/// Writes the line's name beside one of its places.
fn draw_label<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    series: &Series,
    place: (i32, i32),
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let style = canvas.bold(14).color(&series.colour());
    let (anchor, dx, dy) = match series.side {
        Side::Above => (Pos::new(HPos::Right, VPos::Bottom), -6, -8),
        Side::Below => (Pos::new(HPos::Left, VPos::Top), 10, 4),
    };
    let (dx, dy) = canvas.at(dx, dy);
    let beside = (place.0 + dx, place.1 + dy);
    canvas
        .area
        .draw_text(&series.label, &style.pos(anchor), beside)
        .map_err(drawing)
}
