//! Synthetic series with known truth: sockets that open and close by known rules, a reading every second. Seeded.

use super::Reading;
use std::sync::LazyLock;

/// The threshold of all series.
pub(super) const THRESHOLD_S: f64 = 60.0;

/// Where a number of open sockets comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// This many, all the time.
    Steady(u32),
    /// This many on average, opened and closed at random, each open for this long on average.
    Churn { open: f64, life_s: f64 },
    /// This many on average, with lifetimes so short that none is seen twice.
    Flicker { open: f64 },
    /// Once a minute on average, 20 to 200 at once, open for 5 to 30 s on average.
    Bursts,
    /// 5 to 60 that open one by one and close all at once, again and again; a round takes 20 to 150 s.
    Sawtooth,
    /// Between 0 and 100; each second one opens, or any one closes.
    Walk,
    /// Churn whose load changes by half within a day, starting at any time of day.
    Diurnal { open: f64, life_s: f64 },
    /// Fifty that open within this time and stay.
    Ramp { seconds: f64 },
    /// One at this interval, from this time on, that never closes.
    Leak { every_s: f64, from_s: f64 },
}

/// Open and aged sockets at each second.
pub(super) struct Curve {
    seconds: usize,
    random: Random,
    open: Vec<i64>,
    aged: Vec<i64>,
}

impl Curve {
    /// The readings of all `parts` together.
    pub(super) fn readings(parts: &[Part], seconds: usize, seed: u64) -> Vec<Reading> {
        let changes = || vec![0; seconds + 1];
        let mut curve = Self { seconds, random: Random(seed), open: changes(), aged: changes() };
        parts.iter().for_each(|part| curve.add(*part));
        let flicker = parts.iter().find_map(|part| match part {
            Part::Flicker { open } => Some(*open),
            _ => None,
        });
        let (mut open, mut aged) = (0, 0);
        let mut readings = Vec::with_capacity(seconds);
        for second in 0..seconds {
            open += curve.open[second];
            aged += curve.aged[second];
            let brief = flicker.map_or(0.0, |mean| (mean + mean.sqrt() * curve.random.normal()).round().max(0.0));
            readings.push(Reading {
                seconds: second as f64,
                open: open as u64 + brief as u64,
                aged: aged as u64,
                threshold_s: THRESHOLD_S,
            });
        }
        readings
    }

    /// Adds a socket that is open from one moment to another. What was opened before the start counts from the start.
    fn socket(&mut self, from: f64, to: f64) {
        let from = from.max(0.0);
        let second = |moment: f64| (moment.ceil() as usize).min(self.seconds);
        let (opened, grown, closed) = (second(from), second(from + THRESHOLD_S), second(to.max(0.0)));
        if closed > opened {
            self.open[opened] += 1;
            self.open[closed] -= 1;
        }
        if closed > grown {
            self.aged[grown] += 1;
            self.aged[closed] -= 1;
        }
    }

    fn add(&mut self, part: Part) {
        let end = self.seconds as f64;
        let never = f64::INFINITY;
        match part {
            Part::Steady(count) => (0..count).for_each(|_| self.socket(0.0, never)),
            Part::Churn { open, life_s } => self.churn(open, life_s, |_| 1.0),
            Part::Diurnal { open, life_s } => {
                let hour = self.random.between(0.0, 86_400.0);
                self.churn(open * 1.5, life_s, |now| {
                    (1.0 + 0.5 * ((hour + now) / 86_400.0 * std::f64::consts::TAU).sin()) / 1.5
                });
            }
            Part::Flicker { .. } => {}
            Part::Bursts => {
                self.churn(10.0, 5.0, |_| 1.0);
                let mut burst = self.random.wait(60.0);
                while burst < end {
                    let life = self.random.between(5.0, 30.0);
                    for _ in 0..self.random.between(20.0, 200.0) as u32 {
                        let opened = burst + self.random.between(0.0, 3.0);
                        let closed = opened + self.random.wait(life);
                        self.socket(opened, closed);
                    }
                    burst += self.random.wait(60.0);
                }
            }
            Part::Sawtooth => {
                let round = self.random.between(20.0, 150.0);
                let every = round / self.random.between(5.0, 60.0);
                let mut start = -self.random.between(0.0, round);
                while start < end {
                    let mut opened = start;
                    while opened < start + round {
                        self.socket(opened, start + round);
                        opened += every;
                    }
                    start += round;
                }
            }
            Part::Walk => {
                let mut open: Vec<f64> = vec![0.0; self.random.between(0.0, 100.0) as usize];
                for second in 0..self.seconds {
                    let now = second as f64;
                    if self.random.between(0.0, 1.0) < 0.5 {
                        if open.len() < 100 {
                            open.push(now);
                        }
                    } else if !open.is_empty() {
                        let any = self.random.next() as usize % open.len();
                        let opened = open.swap_remove(any);
                        self.socket(opened, now);
                    }
                }
                open.into_iter().for_each(|opened| self.socket(opened, never));
            }
            Part::Ramp { seconds } => (0..50).for_each(|nth| self.socket(seconds * f64::from(nth) / 50.0, never)),
            Part::Leak { every_s, from_s } => {
                let mut opened = from_s + self.random.between(0.0, every_s);
                while opened < end {
                    self.socket(opened, never);
                    opened += every_s;
                }
            }
        }
    }

    /// Adds sockets that open and close at random, in balance from the start. `load` gives the share of them that opens
    /// at a time.
    fn churn(&mut self, open: f64, life_s: f64, load: impl Fn(f64) -> f64) {
        let there = open * load(0.0);
        for _ in 0..(there + there.sqrt() * self.random.normal()).round().max(0.0) as u32 {
            let closed = self.random.wait(life_s);
            self.socket(0.0, closed);
        }
        let mut now = self.random.wait(life_s / open);
        while now < self.seconds as f64 {
            if self.random.between(0.0, 1.0) < load(now) {
                let closed = now + self.random.wait(life_s);
                self.socket(now, closed);
            }
            now += self.random.wait(life_s / open);
        }
    }
}

/// splitmix64.
struct Random(u64);

/// Quantiles of the exponential distribution. A logarithm for every socket would take most of the time.
static WAITS: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..16_384).map(|nth| -((f64::from(nth) + 0.5) / 16_384.0).ln()).collect());

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * ((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn wait(&mut self, mean: f64) -> f64 {
        mean * WAITS[(self.next() >> 50) as usize]
    }

    /// A sum of twelve uniform numbers is close enough to normal for counts.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f64>() - 6.0
    }
}
