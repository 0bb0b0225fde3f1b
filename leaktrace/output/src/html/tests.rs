//! Claims about [`html`](super): self-contained, harmless, complete.

use super::*;
use leaktrace_model::fixtures;

fn render(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    Html.write(snapshot, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_hostile_name_adds_no_element() {
    let (plain, hostile) = (render(&fixtures::degraded()), render(&fixtures::hostile()));
    for tag in ["<script", "<style", "<img", "<svg", "<table", "<tr"] {
        assert_eq!(plain.matches(tag).count(), hostile.matches(tag).count(), "{tag}");
    }
    assert!(!hostile.contains('\x1b') && !hostile.contains("<script>alert"));
}

#[test]
fn the_page_names_no_address_outside_itself() {
    let page = render(&fixtures::degraded());
    for word in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn evidence_degradations_and_losses_are_on_the_page() {
    let page = render(&fixtures::degraded());
    assert!(page.contains("4.0 KiB have waited 12m 3s; nothing was ever read; pid 12 (api) holds fd 7"));
    assert!(page.contains("Degraded: hooks."));
    assert!(page.contains("12 sockets found no room"));
}

#[test]
fn a_page_has_at_most_five_thousand_sockets_and_says_what_is_left_out() {
    let page = render(&fixtures::many_sockets(5_010));
    assert!(page.contains("<p class=\"soft\">10 more are left out of this page"));
    assert!(page.matches("<tr data-verdicts").count() < 5_050);
}

#[test]
fn an_empty_page_says_that_nothing_was_open() {
    let page = render(&fixtures::empty());
    assert!(page.contains("No socket was open.") && !page.contains("<table"));
}
