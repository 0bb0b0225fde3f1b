//! Drives the live view on a terminal: events and updates in, frames and effects out.
//!
//! Waits for the next message and for nothing else. Work that takes time belongs to the handler, on another thread.

use crate::app::msg::{Effect, Msg, Notice, NoticeKind, Update};
use crate::app::terminal::Screen;
use crate::app::{App, Options};
use crate::rows::data::Data;
use crate::update::update;
use crate::update::wants::wants;
use crate::view::view;
use crossterm::event::{Event, EventStream};
use futures_core::Stream;
use leaktrace_model::Snapshot;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How the live view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a key.
    Quit,
    /// By SIGINT, SIGTERM or SIGHUP: this one.
    Signal(i32),
}

/// Why the live view ended early. The terminal has been restored.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Setting it up, drawing or reading failed.
    #[error("the terminal failed: {0}; use leaktrace report where there is none")]
    Terminal(#[from] io::Error),
    /// The terminal was closed.
    #[error("the terminal was closed")]
    Closed,
    /// Another thread of the program panicked and printed its message.
    #[error("the program failed; the message above says where")]
    Panicked,
}

/// Runs the live view until it ends, on a runtime of its own, so that sampling never delays a key. Call it from a thread that
/// belongs to no runtime.
///
/// `updates` delivers snapshots and other updates; of several waiting snapshots only the newest is shown. When it is closed, the last
/// snapshot stays on the screen. `handle` carries effects out and must return at once; [`Effect::Quit`] is the last one.
///
/// # Errors
/// See [`TuiError`].
pub fn run(options: Options, updates: mpsc::Receiver<Update>, handle: impl FnMut(Effect)) -> Result<Ended, TuiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(Runner::open(options, updates, handle)?.run());
    // An index may still be in the making; its result is not needed.
    runtime.shutdown_background();
    ended
}

/// What woke the runner.
enum Wake {
    Signal(i32),
    Suspend,
    Event(Option<io::Result<Event>>),
    Derived(Option<Data>),
    Update(Option<Update>),
}

struct Runner<H> {
    app: App,
    screen: Screen,
    updates: mpsc::Receiver<Update>,
    source: Source,
    /// The index that another thread makes now.
    deriving: Option<JoinHandle<Data>>,
    /// The newest snapshot that has no index yet.
    waiting: Option<Arc<Snapshot>>,
    handle: H,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    Ended,
}

/// What happens next.
enum Next {
    Go,
    End(Ended),
}

impl<H: FnMut(Effect)> Runner<H> {
    fn open(options: Options, updates: mpsc::Receiver<Update>, handle: H) -> Result<Self, TuiError> {
        let screen = Screen::open()?;
        let (width, height) = screen.size()?;
        let app = App::new(options, width, height);
        Ok(Self { app, screen, updates, source: Source::Open, deriving: None, waiting: None, handle })
    }

    async fn run(mut self) -> Result<Ended, TuiError> {
        let mut signals = Signals::listen()?;
        let mut events = EventStream::new();
        loop {
            let app = &self.app;
            if !self.screen.draw(|frame| view(app, frame))? {
                return Err(TuiError::Panicked);
            }
            let wake = tokio::select! {
                biased;
                wake = signals.next() => wake,
                event = next_event(&mut events) => Wake::Event(event),
                data = derived(&mut self.deriving) => Wake::Derived(data),
                update = self.updates.recv(), if self.source == Source::Open => Wake::Update(update),
            };
            if let Next::End(ended) = self.take(wake)? {
                return Ok(ended);
            }
            // Everything that has arrived goes into the same frame, so a key that is held down never lags behind.
            while let Some(event) = ready_event(&mut events).await {
                if let Next::End(ended) = self.take(Wake::Event(event))? {
                    return Ok(ended);
                }
            }
            while let Ok(update) = self.updates.try_recv() {
                self.take(Wake::Update(Some(update)))?;
            }
            while let Some(effect) = wants(&mut self.app) {
                (self.handle)(effect);
            }
        }
    }

    fn take(&mut self, wake: Wake) -> Result<Next, TuiError> {
        let msg = match wake {
            Wake::Signal(number) => {
                (self.handle)(Effect::Quit);
                return Ok(Next::End(Ended::Signal(number)));
            }
            Wake::Suspend => return self.carry_out(Effect::Suspend),
            Wake::Event(None) => return Err(TuiError::Closed),
            Wake::Event(Some(event)) => match event? {
                Event::Key(key) => Msg::Key(key),
                Event::Mouse(mouse) => Msg::Mouse(mouse),
                Event::Paste(text) => Msg::Paste(text),
                Event::Resize(width, height) => Msg::Resize(width, height),
                Event::FocusGained | Event::FocusLost => return Ok(Next::Go),
            },
            Wake::Derived(data) => {
                self.deriving = None;
                self.derive_next();
                let Some(data) = data else { return Ok(Next::Go) };
                Msg::Snapshot(data.snapshot, data.index)
            }
            Wake::Update(Some(Update::Snapshot(snapshot))) => {
                self.waiting = Some(snapshot);
                self.derive_next();
                return Ok(Next::Go);
            }
            Wake::Update(Some(other)) => Msg::Update(other),
            Wake::Update(None) => {
                self.source = Source::Ended;
                let text = "No more samples come; this is the last picture".to_owned();
                Msg::Update(Update::Notice(Notice { kind: NoticeKind::Done, text }))
            }
        };
        match update(&mut self.app, msg) {
            Some(effect) => self.carry_out(effect),
            None => Ok(Next::Go),
        }
    }

    /// Makes the index of the newest snapshot, on a thread of the pool, unless one is in the making.
    fn derive_next(&mut self) {
        if self.deriving.is_none()
            && let Some(snapshot) = self.waiting.take()
        {
            self.deriving = Some(tokio::task::spawn_blocking(move || Data::of(snapshot)));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Next, TuiError> {
        match effect {
            Effect::Suspend => {
                self.screen.suspend()?;
                let (width, height) = self.screen.size()?;
                update(&mut self.app, Msg::Resize(width, height));
            }
            Effect::Redraw => self.screen.redraw()?,
            Effect::CaptureMouse(mouse) => self.screen.set_mouse(mouse)?,
            Effect::Quit => {
                (self.handle)(Effect::Quit);
                return Ok(Next::End(Ended::Quit));
            }
            other => (self.handle)(other),
        }
        Ok(Next::Go)
    }
}

async fn next_event(events: &mut EventStream) -> Option<io::Result<Event>> {
    std::future::poll_fn(|context| Pin::new(&mut *events).poll_next(context)).await
}

/// An event that has already arrived.
async fn ready_event(events: &mut EventStream) -> Option<Option<io::Result<Event>>> {
    std::future::poll_fn(|context| match Pin::new(&mut *events).poll_next(context) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits for the index that is in the making, for ever if there is none. `None` if its thread panicked.
async fn derived(deriving: &mut Option<JoinHandle<Data>>) -> Option<Data> {
    match deriving {
        Some(handle) => handle.await.ok(),
        None => std::future::pending().await,
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    stop: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.interrupt.recv() => Wake::Signal(libc::SIGINT),
            _ = self.terminate.recv() => Wake::Signal(libc::SIGTERM),
            _ = self.hangup.recv() => Wake::Signal(libc::SIGHUP),
            _ = self.stop.recv() => Wake::Suspend,
        }
    }
}
