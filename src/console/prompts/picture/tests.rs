//! Pictures of guidances, whole and broken.

use std::path::Path;

use super::*;

/// A line's guidance, as it stands in the file. What is wrong with it is refused only later.
fn config(guidance: &str) -> Config {
    let text = format!(
        "[[trunk]]\nid = \"t\"\npeers = [\"127.0.0.1\"]\n[[line]]\nid = \"main\"\nname = \"主\"\n\
         numbers = [\"0570000000\"]\n[line.guidance]\n{guidance}\n[[counselor]]\n\
         extension = \"101\"\npassword = \"koebashi-101\"\nlines = [\"main\"]\n"
    );
    crate::config::parse(&text, "x.toml", Path::new("")).unwrap().call
}

fn titles(picture: &Picture) -> Vec<&str> {
    picture.boxes.iter().map(|it| &*it.title).collect()
}

#[test]
fn everything_a_caller_can_come_to_is_drawn_once_and_in_order() {
    let config = config(
        "start = { play = [\"welcome\"], next = \"menu\" }\n\
         menu = { play = [\"ask_186\"], keys = { 1 = \"queue\", 9 = \"start\" }, next = \"hangup\" }",
    );
    let picture = draw(&config, &"main".into(), Lang::En);
    // What ends a call stands below all that leads to it.
    let ends = ["goodbye", "other numbers that help"];
    assert_eq!(titles(&picture), [&["start", "menu", "queue"][..], &ends].concat());
    let menu = &picture.boxes[1];
    assert_eq!(
        menu.exits,
        [("1", "queue"), ("9", "start"), ("no key", "goodbye")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert!(picture.boxes.windows(2).all(|it| it[0].y <= it[1].y));
    // One arrow for each exit: start, menu three, queue three.
    assert_eq!(picture.arrows.len(), 7);
    for it in &picture.boxes {
        assert!(it.x + WIDTH + MARGIN <= picture.width && it.y + it.height <= picture.height);
        assert_eq!(it.wrong, [""; 0]);
    }
    assert!(menu.lines.iter().any(|line| line.text.contains("waits 5 s for a key")));
}

#[test]
fn what_is_wrong_is_said_where_it_is_wrong() {
    let mut config = config(
        "start = { play = [\"welcome\"], next = \"queue\" }\n\
         lonely = { play = [\"welcome\"], next = \"hangup\" }",
    );
    let picture = draw(&config, &"main".into(), Lang::En);
    let lonely = picture.boxes.iter().find(|it| it.title == "lonely").unwrap();
    assert_eq!(lonely.wrong, ["no way leads here"]);
    // As somebody might save it.
    let line = config.lines.get_mut(&LineId::from("main")).unwrap();
    line.guidance.get_mut(&NodeId::from("start")).unwrap().next = Target::Node("lonely".into());
    line.guidance.get_mut(&NodeId::from("lonely")).unwrap().next = Target::Node("start".into());
    let picture = draw(&config, &"main".into(), Lang::En);
    for it in picture.boxes.iter().filter(|it| it.kind == "node") {
        assert_eq!(it.wrong, ["who presses nothing goes round here for ever"], "{}", it.title);
    }
    let (is_error, said) = wrongs(&config, &"main".into(), Lang::Ja).remove(0);
    assert!(is_error && said.contains("「lonely」 → 「start」"), "{said}");
    let line = config.lines.get_mut(&LineId::from("main")).unwrap();
    line.guidance.get_mut(&NodeId::from("lonely")).unwrap().next = Target::Node("nowhere".into());
    let picture = draw(&config, &"main".into(), Lang::En);
    let nowhere = picture.boxes.iter().find(|it| it.title == "nowhere").unwrap();
    assert_eq!(nowhere.wrong, ["dead end"]);
    let said = "Dead end at lonely: there is no place nowhere".to_owned();
    assert_eq!(wrongs(&config, &"main".into(), Lang::En), [(true, said)]);
    config.counselors.clear();
    line_to_queue(&mut config);
    assert!(
        wrongs(&config, &"main".into(), Lang::Ja)
            .contains(&(false, "この回線を受ける相談員がいません".to_owned()))
    );
}

fn line_to_queue(config: &mut Config) {
    let line = config.lines.get_mut(&LineId::from("main")).unwrap();
    line.guidance.get_mut(&NodeId::from("start")).unwrap().next = Target::Queue;
}

#[test]
fn long_names_are_cut_to_the_box() {
    assert_eq!(cut("welcome"), "welcome");
    assert_eq!(cut(&"x".repeat(40)), format!("{}…", "x".repeat(32)));
    assert_eq!(cut(&"声".repeat(17)), format!("{}…", "声".repeat(16)));
}
