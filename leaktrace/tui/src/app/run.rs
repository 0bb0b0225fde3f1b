//! Drives the live view on a terminal: events and updates in, frames and effects out.
//!
//! Nothing here waits for anything but the next message; what takes time is the handler's to do aside.

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

/// Why the live view could not go on. The terminal has been given back.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Taking it over, drawing or reading failed.
    #[error("the terminal failed: {0}; use leaktrace report where there is none")]
    Terminal(#[from] io::Error),
    /// It went away.
    #[error("the terminal was closed")]
    Closed,
    /// Another thread of the program panicked and has said so.
    #[error("the program failed; the message above says where")]
    Panicked,
}

/// Runs the live view until it ends, on a runtime of its own: call it from a thread that is not part of one, so that
/// no sampling pass ever keeps a key waiting.
///
/// `updates` brings snapshots and the rest; of several snapshots that wait only the newest is shown. When it is closed
/// the last picture stays. `handle` carries effects out and must return at once; [`Effect::Quit`] is the last one.
///
/// # Errors
/// See [`TuiError`].
pub fn run(options: Options, updates: mpsc::Receiver<Update>, handle: impl FnMut(Effect)) -> Result<Ended, TuiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(Runner::open(options, updates, handle)?.run());
    // A derivation may still be under way; nobody waits for it.
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
    /// What is being derived, aside.
    deriving: Option<JoinHandle<Data>>,
    /// The newest snapshot that waits for it.
    waiting: Option<Arc<Snapshot>>,
    handle: H,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    Ended,
}

/// Whether the live view goes on.
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
            if !self.screen.is_taken() {
                return Err(TuiError::Panicked);
            }
            let app = &self.app;
            self.screen.draw(|frame| view(app, frame))?;
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
            // Everything that is there already goes into the same frame: held keys never lag behind.
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

    /// Derives what follows from the newest snapshot, on a thread of the pool, unless that is under way.
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

/// An event that is there already.
async fn ready_event(events: &mut EventStream) -> Option<Option<io::Result<Event>>> {
    std::future::poll_fn(|context| match Pin::new(&mut *events).poll_next(context) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What was derived; never, while nothing is. A derivation that panicked gives nothing.
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
