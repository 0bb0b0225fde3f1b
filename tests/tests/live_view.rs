//! The live view in a real terminal, over programs that really leak: what a person does, key by key, and what is left of
//! the terminal afterwards.
#![allow(clippy::unwrap_used)]

mod multiplexer;
mod subject;

use leaktrace_skip::{Lack, skip};
use leaktrace_tests::suite::child::ScenarioChild;
use multiplexer::Terminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use subject::{Folder, leaktrace};

/// A terminal as it was before and as it is afterwards.
const GIVEN_BACK: &str = "alternate 0 cursor 1 mouse 0";
const TAKEN: &str = "alternate 1 cursor 0 mouse 1";

fn state(terminal: &Terminal) -> String {
    terminal.state("alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag}")
}

/// leaktrace, if there is a terminal to run it in.
fn subject_for() -> Option<PathBuf> {
    if !multiplexer::is_there() {
        skip(Lack::Program("tmux"));
        return None;
    }
    leaktrace()
}

/// A line of shell that runs `words` in `folder`, with its process id and the terminal's settings around it kept there.
fn around(folder: &Folder, words: &str) -> String {
    format!(
        "cd {}; export LC_ALL=C.UTF-8; stty -g >before\nsh -c 'echo $$ >pid; exec {words}'\necho \"ended with $?\"; stty -g \
         >after",
        folder.path("")
    )
}

/// The terminal is as it was: settings, cursor, the screen that was there.
fn check_given_back(terminal: &Terminal, folder: &Folder) {
    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    let start = Instant::now();
    while read("after").is_empty() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(read("before"), read("after"), "stty");
    assert_eq!(state(terminal), GIVEN_BACK);
}

/// A copy of the scenario programs under its own name, so that no other test's programs come into view.
fn own_scenarios(folder: &Folder, name: &str) -> PathBuf {
    let own = PathBuf::from(folder.path(name));
    std::fs::copy(env!("CARGO_BIN_EXE_scenarios"), &own).unwrap();
    own
}

/// The line of a table, or of anything else, that shows `text`.
fn line_with<'a>(screen: &'a str, text: &str) -> &'a str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in\n{screen}"))
}

#[test]
fn a_leak_is_found_looked_at_exported_and_closed_with_the_keyboard() {
    let Some(leaktrace) = subject_for() else { return };
    let folder = Folder::new("live");
    let comm = format!("lv{}", std::process::id());
    let scenarios = own_scenarios(&folder, &comm);
    let words = format!("{} top --stall 1s --interval 300ms --comm {comm}", leaktrace.display());
    let terminal = Terminal::start("keys", (130, 40), &around(&folder, &words));
    terminal.wait_for(&["Call sites", "q quit"]);
    assert_eq!(state(&terminal), TAKEN);

    let mut closer = ScenarioChild::scenario(&scenarios, "close-wait").unwrap();
    let mut reader = ScenarioChild::scenario(&scenarios, "never-read").unwrap();
    let count = closer.listen().unwrap().expect[0].count.unwrap();
    reader.listen().unwrap();
    // Both leaks by their verdict, their function and their line.
    let screen = terminal.wait_for(&["CLOSEW", "UNREAD", "leak_after_fin", "leak_never_read"]);
    assert!(line_with(&screen, "leak_after_fin").contains(".rs:"), "{screen}");

    // Sorting: by a column, and the other way round.
    let head = |screen: &str| line_with(screen, "CALL SITE").to_owned();
    let sorted = |mark: char| move |screen: &str| head(screen).contains(&format!("CALL SITE{mark}"));
    // From the worst first, which is no column's order, over the sign and the process.
    terminal.enter(">>>");
    terminal.wait_until("an order by call site", sorted('▲'));
    let order = |screen: &str| screen.find("leak_after_fin") < screen.find("leak_never_read");
    terminal.wait_until("call sites from A to Z", order);
    terminal.enter("i");
    let screen = terminal.wait_until("the other way round", sorted('▼'));
    assert!(!order(&screen), "{screen}");

    // Filtering, as it is typed.
    terminal.enter("/leak_after");
    terminal.wait_until("the filtered table", |screen| {
        screen.contains("/leak_after") && screen.contains("leak_after_fin") && !screen.contains("leak_never_read")
    });
    terminal.press("Enter");
    terminal.wait_for(&["Enter detail"]);

    // The detail: evidence in words, the stack, who holds the sockets.
    terminal.press("Enter");
    let evidence = format!("close-wait ×{count}");
    terminal.wait_for(&[&evidence, "peer closed", "Stack", "Held by", "Open over"]);
    terminal.press("Escape");
    terminal.wait_until("the table alone", |screen| !screen.contains("Held by"));

    // Export, as JSON.
    terminal.enter("e");
    terminal.wait_for(&["Export", "▸ text"]);
    terminal.press("Down");
    terminal.wait_for(&["▸ json"]);
    terminal.press("Enter");
    let screen = terminal.wait_for(&["written to"]);
    let file = line_with(&screen, "written to").split_whitespace().next_back().unwrap();
    let text = std::fs::read_to_string(folder.path(file)).unwrap();
    let (report, missing) = leaktrace_tests::suite::report::read(&text).unwrap();
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(report.callsites.len(), 1, "what is filtered away is not exported");

    // Closing: named, confirmed, done.
    terminal.enter("K");
    let screen = terminal.wait_for(&["Close ", "CLOSE_WAIT", "y close"]);
    assert!(line_with(&screen, "Close ").contains(&format!("Close {count} sockets?")), "{screen}");
    terminal.enter("n");
    terminal.wait_until("no question", |screen| !screen.contains("y close"));
    terminal.enter("K");
    terminal.wait_for(&["y close"]);
    terminal.enter("y");
    terminal.wait_for(&[&format!("{count} of {count} sockets closed")]);
    terminal.wait_until("the verdict gone", |screen| !screen.contains("CLOSEW") && !screen.contains("close-wait"));

    terminal.enter("q");
    terminal.wait_for(&["ended with 0"]);
    check_given_back(&terminal, &folder);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let Some(leaktrace) = subject_for() else { return };
    for signal in ["TERM", "INT", "HUP"] {
        let folder = Folder::new(&format!("live-{signal}"));
        let terminal = Terminal::start(signal, (80, 24), &around(&folder, &format!("{} top", leaktrace.display())));
        terminal.wait_for(&["Call sites", "q quit"]);
        assert_eq!(state(&terminal), TAKEN);
        let pid: i32 = std::fs::read_to_string(folder.path("pid")).unwrap().trim().parse().unwrap();
        let signal: nix::sys::signal::Signal = format!("SIG{signal}").parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        terminal.wait_for(&["ended with 0"]);
        check_given_back(&terminal, &folder);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    // The product has no key for panics; its example has a mode.
    let demo = Path::new(env!("CARGO_BIN_EXE_scenarios")).with_file_name("examples").join("tui_demo");
    if !multiplexer::is_there() {
        return skip(Lack::Program("tmux"));
    }
    if !demo.exists() {
        return skip(Lack::Unexplained("leaktrace's example tui_demo is not built"));
    }
    let folder = Folder::new("live-panic");
    let terminal = Terminal::start("panic", (100, 30), &around(&folder, &format!("{} panic", demo.display())));
    terminal.wait_for(&["as asked for", "ended with"]);
    check_given_back(&terminal, &folder);
}

#[test]
fn the_smallest_terminal_and_a_resize_are_survived() {
    let Some(leaktrace) = subject_for() else { return };
    let folder = Folder::new("live-small");
    let words = format!("{} top --interval 300ms", leaktrace.display());
    let terminal = Terminal::start("small", (40, 10), &around(&folder, &words));
    terminal.wait_for(&["1 Sites", "2 Procs"]);
    terminal.resize(100, 30);
    terminal.wait_for(&["4 Sockets", "q quit"]);
    terminal.resize(10, 3);
    terminal.resize(80, 24);
    terminal.wait_for(&["4 Sockets", "q quit"]);
    terminal.enter("q");
    terminal.wait_for(&["ended with 0"]);
    check_given_back(&terminal, &folder);
}
