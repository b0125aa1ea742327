//! Every path of the router by every method, asked by everybody who may not.
//!
//! The paths are read from the source, so that a new one is judged here without being named.

use std::fs;

use super::*;
use crate::console::access::place_of;
use crate::store::accounts::Role;

/// A path with its blanks filled, and a method that it answers.
struct Cell {
    method: &'static str,
    path: String,
}

impl Cell {
    fn writes(&self) -> bool {
        self.method != "GET"
    }

    fn is_api(&self) -> bool {
        self.path.starts_with("/api/")
    }

    fn request(&self, head: &str) -> String {
        let Self { method, path } = self;
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0";
        format!("{method} {path} HTTP/1.1\r\n{head}Connection: close\r\n{form}\r\n\r\n")
    }
}

fn cells(folder: &Path, found: &mut Vec<Cell>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            cells(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            text.split(".route(").skip(1).for_each(|text| found.extend(cells_of(text)));
        }
    }
}

/// Given what follows the bracket of `.route(`.
fn cells_of(text: &str) -> Vec<Cell> {
    let mut depth = 1;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    let call = &text[..end.unwrap_or(0)];
    let Some((path, methods)) =
        call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'))
    else {
        return vec![];
    };
    let mut filled = String::new();
    let mut is_blank = false;
    for c in path.chars() {
        match c {
            '{' => is_blank = true,
            '}' => {
                is_blank = false;
                filled.push('x');
            }
            c if !is_blank => filled.push(c),
            _ => {}
        }
    }
    let known = [("get", "GET"), ("post", "POST"), ("put", "PUT"), ("delete", "DELETE")];
    let words: Vec<_> = methods.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_called = |name: &str| words.contains(&name);
    let answered = known.into_iter().filter(|(name, _)| is_called(name));
    answered.map(|(_, method)| Cell { method, path: filled.clone() }).collect()
}

#[tokio::test]
async fn whoever_may_not_is_refused_in_every_cell() {
    let server = Server::start(Console::default()).await;
    let mut all = vec![];
    cells(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"), &mut all);
    assert!(all.len() > 80, "{}", all.len());
    let mut refused = 0;
    for cell in &all {
        for head in [
            "Host: localhost\r\nOrigin: http://evil.example\r\n",
            "Host: localhost\r\nOrigin: null\r\n",
            "Host: evil.example\r\nOrigin: http://evil.example\r\n",
        ] {
            let (code, answer) = server.send(&cell.request(head)).await;
            let is_told = answer.ends_with(r#"{"error":"foreign_origin"}"#);
            assert!(code == 403 && is_told, "{} {}: {answer}", cell.method, cell.path);
        }
        let Some(place) = place_of(&cell.path) else {
            assert_eq!(cell.path, "/", "it is in no table of who may");
            continue;
        };
        let (code, answer) = server.send(&cell.request("Host: localhost\r\n")).await;
        let expected = match (place.roles, cell.is_api(), cell.writes()) {
            (None, ..) => continue,
            (Some(_), true, _) | (Some(_), false, true) => 401,
            (Some(_), false, false) => 303,
        };
        assert_eq!(code, expected, "nobody: {} {}: {answer}", cell.method, cell.path);
    }
    for role in Role::ALL {
        let visitor = server.visitor(role, Some("101")).await;
        let head = format!("Host: localhost\r\nCookie: {}\r\n", visitor.cookie);
        for cell in &all {
            let Some(place) = place_of(&cell.path).filter(|it| it.roles.is_some()) else {
                continue;
            };
            let may = place.admits(role);
            // What they may read is read elsewhere; what they may do needs a form's token.
            if may && !cell.writes() {
                continue;
            }
            let (code, answer) = server.send(&cell.request(&head)).await;
            let what = format!("{role:?}: {} {}: {answer}", cell.method, cell.path);
            assert_eq!(code, 403, "{what}");
            if cell.is_api() {
                let word = if may { "no_csrf_token" } else { "not_allowed" };
                assert!(answer.contains(word), "{what}");
            }
            refused += 1;
        }
    }
    assert!(refused > 150, "{refused}");
}
