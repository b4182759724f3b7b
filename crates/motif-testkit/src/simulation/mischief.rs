//! What goes wrong, and what a person does meanwhile.

use std::time::Duration;

use jiff::SignedDuration;
use motif_store::records::Steer;
use motif_worker::core::Input;

use super::{
    audit::Checked,
    network::Request,
    plan::Weather,
    server::{self, Strike},
    world::{Event, World},
};

impl World {
    /// One thing goes wrong, and the next is set.
    pub(super) fn mischief(&mut self) -> Checked {
        if self.healed {
            return Ok(());
        }
        self.mischief_later();
        let place = self.dice.below(self.workers.len());
        match self.dice.below(22) {
            0..3 => self.server_dies(),
            3..6 => self.kill_worker(place),
            6..9 => self.freeze(place),
            9 | 10 => return self.drain(place),
            11..14 => self.cut_off(place),
            14 | 15 => self.jump(),
            16 | 17 => {
                let weather = Weather::draw(&mut self.dice);
                self.note(format_args!("{weather:?}"));
                self.weather = weather;
            }
            _ => self.person_steers(),
        }
        Ok(())
    }

    /// The server dies at one of its awaits; idle, when nothing comes.
    fn server_dies(&mut self) {
        if !self.server.up {
            return;
        }
        match self.dice.below(5) {
            0 => {
                self.note(format_args!("server dies"));
                self.crash();
            }
            1 => self.server.strike = Some(Strike::Before),
            2 | 3 => self.server.strike = Some(Strike::After),
            _ => self.server.strike = Some(Strike::Within),
        }
        let delay = self.dice.time_s(0.2, 40.0);
        self.at(delay, Event::Restart);
    }

    fn kill_worker(&mut self, place: usize) {
        if self.workers[place].alive {
            self.note(format_args!("worker {place} is killed"));
            self.tally.killed += 1;
            self.kill(place);
        }
    }

    /// Stopped like by SIGSTOP, often for longer than its leases last.
    fn freeze(&mut self, place: usize) {
        if self.workers[place].alive {
            let time = self.dice.time_s(1.0, 90.0);
            self.note(format_args!("worker {place} is frozen for {:.1} s", time.as_secs_f64()));
            self.tally.frozen += 1;
            self.workers[place].frozen_until = self.now + time;
        }
    }

    fn drain(&mut self, place: usize) -> Checked {
        let worker = &self.workers[place];
        if worker.alive && worker.frozen_until <= self.now {
            self.note(format_args!("worker {place} is told to drain"));
            return self.feed(place, Input::Drain);
        }
        Ok(())
    }

    fn cut_off(&mut self, place: usize) {
        let time = self.dice.time_s(1.0, 80.0);
        self.note(format_args!("worker {place} is cut off for {:.1} s", time.as_secs_f64()));
        self.tally.cut_off += 1;
        self.workers[place].cut_off = true;
        self.at(time, Event::Reconnect { place });
    }

    /// The server's wall clock is set, by up to an hour.
    fn jump(&mut self) {
        let size = if self.dice.chance(0.5) { 3600.0 } else { self.dice.between(6.0, 600.0) };
        let back = self.dice.chance(0.5);
        let jump = SignedDuration::from_secs_f64(if back { -size } else { size });
        self.note(format_args!("the server's clock jumps by {:.1} s", jump.as_secs_f64()));
        self.tally.jumps += 1;
        self.server.skew += jump;
        self.audit.set_back += u64::from(back);
        // The reaper notices when it looks next.
        let noticed = self.now + server::reap_every() + server::grace();
        self.server.holds_until = self.server.holds_until.max(noticed);
    }

    fn person_steers(&mut self) {
        let Some(sweep) = self.some_sweep() else { return };
        let steer = match self.dice.below(12) {
            0..2 => Steer::Pause,
            2..6 => Steer::Resume,
            6 => Steer::Cancel,
            7..10 => Steer::Retry,
            _ => Steer::Priority(i32::try_from(self.dice.whole(0, 3)).unwrap_or(0)),
        };
        self.note(format_args!("a person wants {steer:?}"));
        self.tally.steered += 1;
        self.at(Duration::ZERO, Event::Person(Request::Steer(sweep, steer)));
    }
}
