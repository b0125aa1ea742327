//! Pictures as SVG, to stand in a page.
//!
//! Owns their templates. Colors and letters are the style sheet's (`.graph`, `.wave`).

use askama::Template;

use super::picture::{self, Picture};
use super::wave;
use crate::call::config::{Config, LineId};
use crate::lang::Lang;

#[derive(Template)]
#[template(path = "picture.html", config = ".askama.toml")]
struct Graph {
    picture: Picture,
    name: String,
    l: Lang,
}

#[derive(Template)]
#[template(path = "wave.html", config = ".askama.toml")]
struct Wave {
    path: String,
    label: String,
    width: usize,
    height: usize,
}

/// The guidance of a line, and all of it in words below.
pub(in crate::console) fn guidance(config: &Config, id: &LineId, l: Lang) -> String {
    let picture = picture::draw(config, id, l);
    let name = config.lines.get(id).map_or_else(|| id.to_string(), |line| line.name.clone());
    filled_in(&Graph { picture, name, l })
}

/// A sound; `label` says of what.
pub(in crate::console) fn wave(samples: &[i16], label: String) -> String {
    let path = wave::path(samples);
    filled_in(&Wave { path, label, width: wave::WIDTH, height: wave::HEIGHT })
}

fn filled_in(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a picture can't be drawn");
        String::new()
    })
}
