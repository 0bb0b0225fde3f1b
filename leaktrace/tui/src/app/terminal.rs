//! The terminal: whether it can show the live view, setting it up, and restoring it on every exit path.

use crate::app::msg::MouseCapture;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use std::cell::Cell;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Whether the terminal is set up for the live view now. A process has one terminal, so there is one flag.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Held while something is written to the terminal. A thread that panics restores the terminal and prints its message under one lock:
/// no frame is drawn over the message, and the live view does not end, and the process with it, before the message is there.
static WRITING: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread holds [`WRITING`]. It may panic while it draws.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Why there cannot be a live view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Output or input is a file or a pipe.
    #[error("the live view needs a terminal for input and output")]
    NotATerminal,
    /// `TERM` says that it cannot.
    #[error("the terminal cannot place the cursor (TERM is dumb or not set)")]
    Dumb,
}

/// Checks whether there can be a live view.
///
/// # Errors
/// Why not.
pub fn check_terminal() -> Result<(), Unfit> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Unfit::NotATerminal);
    }
    match std::env::var("TERM") {
        Ok(term) if !term.is_empty() && term != "dumb" => Ok(()),
        _ => Err(Unfit::Dumb),
    }
}

/// The terminal while the live view has it. Dropping it restores the terminal.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: MouseCapture,
}

impl Screen {
    /// Sets the terminal up: alternate screen, raw mode, mouse, bracketed paste. From here on a panic restores it before its
    /// message is printed.
    ///
    /// # Errors
    /// What the terminal answered; it has been restored then.
    pub(crate) fn open() -> io::Result<Self> {
        give_back_on_panic();
        take(MouseCapture::default()).inspect_err(|_| give_back())?;
        let writer = BufWriter::with_capacity(64 * 1024, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(writer)).inspect_err(|_| give_back())?;
        Ok(Self { terminal, mouse: MouseCapture::default() })
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws a frame. Terminals with synchronized updates show all of it at once. False if the live view no longer has the terminal,
    /// because another thread panicked and printed its message; then nothing is drawn.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<bool> {
        if_taken(|| {
            queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
            self.terminal.draw(paint)?;
            execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
        })
    }

    /// The next frame is drawn from scratch.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        if_taken(|| self.terminal.clear()).map(drop)
    }

    /// Captures the mouse or leaves it to the terminal.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn set_mouse(&mut self, mouse: MouseCapture) -> io::Result<()> {
        self.mouse = mouse;
        if_taken(|| match mouse {
            MouseCapture::Captured => execute!(io::stdout(), EnableMouseCapture),
            MouseCapture::Released => execute!(io::stdout(), DisableMouseCapture),
        })
        .map(drop)
    }

    /// Restores the terminal, stops the process until SIGCONT, sets the terminal up again.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // SAFETY: raise has no preconditions; SIGSTOP stops every thread of the process until SIGCONT.
        unsafe { libc::raise(libc::SIGSTOP) };
        take(self.mouse)?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Runs `write` while this thread alone writes to the terminal. A thread that writes already runs it at once.
fn writing<T>(write: impl FnOnce() -> T) -> T {
    if WRITES.get() {
        return write();
    }
    let _held = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    WRITES.set(true);
    let _reset = Reset;
    write()
}

/// Resets [`WRITES`] when it is dropped, after a panic too.
struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        WRITES.set(false);
    }
}

/// Runs `write` if the live view has the terminal, and says whether it has.
fn if_taken(write: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
    writing(|| match TAKEN.load(Ordering::SeqCst) {
        true => write().map(|()| true),
        false => Ok(false),
    })
}

fn take(mouse: MouseCapture) -> io::Result<()> {
    writing(|| set_up(mouse))
}

fn set_up(mouse: MouseCapture) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    match mouse {
        MouseCapture::Captured => execute!(io::stdout(), EnableMouseCapture),
        MouseCapture::Released => Ok(()),
    }
}

/// Restores the terminal, once. Errors are ignored, as the terminal may be gone.
fn give_back() {
    writing(restore);
}

fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        EndSynchronizedUpdate,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}

fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            writing(|| {
                restore();
                before(panic);
            });
        }));
    });
}
