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
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is set up for the live view now. A process has one terminal, so there is one flag.
static TAKEN: AtomicBool = AtomicBool::new(false);

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

    /// Whether the live view still has it: a panic in another thread restores it.
    pub(crate) fn is_taken(&self) -> bool {
        TAKEN.load(Ordering::SeqCst)
    }

    /// Draws a frame. Terminals with synchronized updates show all of it at once.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(paint)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// The next frame is drawn from scratch.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Captures the mouse or leaves it to the terminal.
    ///
    /// # Errors
    /// What the terminal answered.
    pub(crate) fn set_mouse(&mut self, mouse: MouseCapture) -> io::Result<()> {
        self.mouse = mouse;
        match mouse {
            MouseCapture::Captured => execute!(io::stdout(), EnableMouseCapture),
            MouseCapture::Released => execute!(io::stdout(), DisableMouseCapture),
        }
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

fn take(mouse: MouseCapture) -> io::Result<()> {
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
            give_back();
            before(panic);
        }));
    });
}
