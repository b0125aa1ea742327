//! Plots as SVG: bars, stacked bars, histograms. Quiet, without color, fit for print.
//!
//! Owns the drawing. Parts of a bar differ by pattern and say their numbers; the whole has a title
//! and a text alternative. The page puts the same numbers beside it as a table.

use std::fmt::Write as _;

/// Width of the drawing.
const WIDTH: f64 = 720.0;
/// Height of the drawing without the legend.
const HEIGHT: f64 = 240.0;
/// Room for the numbers of the axis.
const LEFT: f64 = 44.0;
const RIGHT: f64 = 8.0;
/// Room for the number above the highest bar.
const TOP: f64 = 22.0;
/// Room for the names of the bars.
const BOTTOM: f64 = 36.0;
/// Height of the legend.
const LEGEND: f64 = 24.0;
/// The height below which a part of a bar does not say its number.
const TELLING: f64 = 13.0;
/// Widest bar.
const BAR_MAX: f64 = 56.0;
/// About the width of a digit, a letter, and a character beyond ASCII.
const DIGIT: f64 = 7.0;

/// What is drawn.
pub(in crate::console) struct Plot {
    /// Names it within the page.
    pub(in crate::console) id: String,
    /// What is seen.
    pub(in crate::console) title: String,
    /// What the bars are, and what their height is.
    pub(in crate::console) axes: (String, String),
    /// The parts of each bar, from the bottom; one: plain bars.
    pub(in crate::console) parts: Vec<String>,
    /// Name of each bar and its parts' numbers.
    pub(in crate::console) bars: Vec<(String, Vec<u64>)>,
    /// Whether the bars are steps of one measure, and stand side by side without a gap.
    pub(in crate::console) is_histogram: bool,
}

impl Plot {
    /// The drawing.
    pub(in crate::console) fn svg(&self) -> String {
        let highest = self.bars.iter().map(|(_, parts)| sum(parts)).max().unwrap_or_default();
        let step = step(highest);
        let top = highest.div_ceil(step).max(1) * step;
        let has_legend = self.parts.len() > 1;
        let height = HEIGHT + if has_legend { LEGEND } else { 0.0 };
        let id = &self.id;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             role=\"img\" aria-labelledby=\"{id}-t {id}-d\" fill=\"currentColor\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(&self.title),
            escape(&self.told()),
        );
        self.patterns(&mut out);
        self.axis(&mut out, step, top);
        let room = (WIDTH - LEFT - RIGHT) / self.bars.len().max(1) as f64;
        let widest = self.bars.iter().map(|(name, _)| text_width(name)).fold(0.0, f64::max);
        let every = ((widest + 6.0) / room).ceil().max(1.0) as usize;
        for (nth, (name, parts)) in self.bars.iter().enumerate() {
            let left = LEFT + room * nth as f64;
            self.bar(&mut out, left, room, parts, top);
            if nth % every == 0 {
                let (x, y) = (left + room / 2.0, HEIGHT - BOTTOM + 16.0);
                text(&mut out, x, y, "middle", name);
            }
        }
        if has_legend {
            self.legend(&mut out);
        }
        out += "</svg>";
        out
    }

    /// The text alternative: every number, as long as that can be listened to.
    fn told(&self) -> String {
        let bars = self.bars.iter().take(40).map(|(name, parts)| {
            let numbers = parts.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("{name}: {}", numbers.join(" + "))
        });
        let bars = bars.collect::<Vec<_>>().join(", ");
        let more = if self.bars.len() > 40 { ", …" } else { "" };
        format!("{} / {} ({}). {bars}{more}", self.axes.0, self.axes.1, self.parts.join(" + "))
    }

    /// One pattern for each part but the first, which is solid.
    fn patterns(&self, out: &mut String) {
        let drawings = [
            "<path d=\"M0 6L6 0\" stroke=\"currentColor\" stroke-width=\"1.4\"/>",
            "<circle cx=\"3\" cy=\"3\" r=\"1.2\"/>",
            "<path d=\"M0 3H6\" stroke=\"currentColor\" stroke-width=\"0.8\"/>",
        ];
        *out += "<defs>";
        for (nth, drawing) in drawings.iter().enumerate().take(self.parts.len().saturating_sub(1)) {
            *out += &format!(
                "<pattern id=\"{}-{}\" width=\"6\" height=\"6\" \
                 patternUnits=\"userSpaceOnUse\">{drawing}</pattern>",
                self.id,
                nth + 1
            );
        }
        *out += "</defs>";
    }

    fn fill(&self, part: usize) -> String {
        match part {
            0 => "fill=\"currentColor\" fill-opacity=\"0.55\" stroke=\"currentColor\"".to_owned(),
            1..=3 => format!("fill=\"url(#{}-{part})\" stroke=\"currentColor\"", self.id),
            _ => "fill=\"none\" stroke=\"currentColor\"".to_owned(),
        }
    }

    fn axis(&self, out: &mut String, step: u64, top: u64) {
        for value in (0..=top).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let y = height_of(value, top);
            let opacity = if value == 0 { 0.9 } else { 0.2 };
            *out += &format!(
                "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"currentColor\" \
                 stroke-opacity=\"{opacity}\"/>",
                WIDTH - RIGHT
            );
            text(out, LEFT - 6.0, y + 4.0, "end", &value.to_string());
        }
        text(out, 0.0, 12.0, "start", &self.axes.1);
        text(out, WIDTH - RIGHT, HEIGHT - 4.0, "end", &self.axes.0);
    }

    fn bar(&self, out: &mut String, left: f64, room: f64, parts: &[u64], top: u64) {
        let gap = if self.is_histogram { 0.0 } else { (room * 0.25).min(12.0) };
        let width = (room - gap).clamp(1.0, if self.is_histogram { room } else { BAR_MAX });
        let (x, middle) = (left + (room - width) / 2.0, left + room / 2.0);
        let mut below = 0;
        for (nth, value) in parts.iter().enumerate().filter(|(_, value)| **value > 0) {
            let (bottom, upper) = (height_of(below, top), height_of(below + value, top));
            below += value;
            let height = bottom - upper;
            *out += &format!(
                "<rect x=\"{x:.1}\" y=\"{upper:.1}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\" {}/>",
                self.fill(nth)
            );
            let number = value.to_string();
            let fits = height >= TELLING && text_width(&number) + 4.0 <= width;
            if fits && self.parts.len() > 1 {
                // On paper of its own, so that no pattern runs through it.
                let (w, y) = (text_width(&number) + 4.0, f64::midpoint(bottom, upper));
                *out += &format!(
                    "<rect class=\"paper\" x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" \
                     height=\"13\"/>",
                    middle - w / 2.0,
                    y - 6.5
                );
                text(out, middle, y + 4.5, "middle", &number);
            }
        }
        let number = below.to_string();
        if below > 0 && text_width(&number) <= room {
            text(out, middle, height_of(below, top) - 5.0, "middle", &number);
        }
    }

    fn legend(&self, out: &mut String) {
        let (mut x, y) = (LEFT, HEIGHT + 6.0);
        for (nth, name) in self.parts.iter().enumerate() {
            let fill = self.fill(nth);
            *out += &format!("<rect x=\"{x:.1}\" y=\"{y}\" width=\"14\" height=\"12\" {fill}/>");
            text(out, x + 20.0, y + 10.5, "start", name);
            x += 40.0 + text_width(name);
        }
    }
}

fn sum(parts: &[u64]) -> u64 {
    parts.iter().sum()
}

/// Where a value stands, from above.
fn height_of(value: u64, top: u64) -> f64 {
    let whole = HEIGHT - TOP - BOTTOM;
    HEIGHT - BOTTOM - whole * value as f64 / top.max(1) as f64
}

/// The step of the axis: 1, 2 or 5 times a power of ten, and six of them at most.
fn step(highest: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if highest.div_ceil(step) <= 5 {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { DIGIT } else { 2.0 * DIGIT - 2.0 }).sum()
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escape(text);
    // Writing to a String can't fail.
    write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>").ok();
}

/// A text within HTML or SVG.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(bars: Vec<(String, Vec<u64>)>) -> Plot {
        Plot {
            id: "p".to_owned(),
            title: "a <b> & \"c\"".to_owned(),
            axes: ("時間帯".to_owned(), "件".to_owned()),
            parts: vec!["応答".to_owned(), "放棄".to_owned()],
            bars,
            is_histogram: false,
        }
    }

    #[test]
    fn a_plot_says_every_number_in_words_and_nothing_of_a_name_is_markup() {
        let svg =
            plot(vec![("<18:00>".to_owned(), vec![4, 2]), ("x".to_owned(), vec![0, 0])]).svg();
        assert!(svg.contains("<title id=\"p-t\">a &lt;b&gt; &amp; &quot;c&quot;</title>"), "{svg}");
        assert!(svg.contains("&lt;18:00&gt;: 4 + 2, x: 0 + 0</desc>"), "{svg}");
        assert!(svg.contains("role=\"img\" aria-labelledby=\"p-t p-d\""));
        // 4 and 2 within the bar, 6 above it.
        for number in ["4", "2", "6"] {
            assert!(svg.contains(&format!("text-anchor=\"middle\">{number}</text>")), "{number}");
        }
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("style="));
    }

    #[test]
    fn a_plot_of_nothing_or_of_very_much_is_drawn() {
        for bars in [
            vec![],
            vec![("a".to_owned(), vec![])],
            vec![("a".to_owned(), vec![u64::MAX / 4, 1])],
            (0..366).map(|n| (format!("2026-{n}"), vec![n, 1])).collect(),
        ] {
            let svg = plot(bars).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.len() < 80_000, "{}", svg.len());
        }
    }

    #[test]
    fn the_axis_has_round_steps() {
        for (highest, expected) in
            [(0, 1), (1, 1), (5, 1), (6, 2), (11, 5), (25, 5), (26, 10), (1_000, 200)]
        {
            assert_eq!(step(highest), expected, "{highest}");
        }
    }
}
