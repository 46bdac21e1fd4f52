//! How messages leave a broker, get lost, and arrive.

use crate::network::Flight;
use crate::oracle::{Checked, violated};
use crate::world::World;
use millrace_broker::raft::ports::GroupId;
use raft::SnapshotStatus;
use raft::eraftpb::MessageType;
use rand::Rng;

impl World {
    pub fn send(
        &mut self,
        from: usize,
        group: GroupId,
        message: raft::eraftpb::Message,
    ) -> Checked {
        let Some(&to) = self.homes.get(&message.to) else {
            return violated(format!("a message to peer {}, which never was", message.to));
        };
        let is_snapshot = message.get_msg_type() == MessageType::MsgSnapshot;
        let flight = Flight {
            from,
            to,
            group,
            message,
        };
        if !self.is_healed {
            if self.rng.random_range(0..1000) < self.plan.drop_permille {
                return self.lost(flight);
            }
            if !is_snapshot && self.rng.random_range(0..1000) < self.plan.duplicate_permille {
                let twin = Flight {
                    message: flight.message.clone(),
                    ..flight
                };
                if let Some(lost) = self.network.put(twin) {
                    self.lost(lost)?;
                }
            }
        }
        match self.network.put(flight) {
            Some(lost) => self.lost(lost),
            None => Ok(()),
        }
    }

    /// The sender learns of a lost snapshot always, of other losses sometimes.
    pub fn lost(&mut self, flight: Flight) -> Checked {
        let Flight {
            from,
            group,
            message,
            ..
        } = flight;
        if self.brokers[from].local.get(&group) != Some(&message.from)
            || !self.brokers[from].is_up()
        {
            return Ok(());
        }
        let tells = self.rng.random_bool(0.2);
        let worker = &mut self.running(from).worker;
        if message.get_msg_type() == MessageType::MsgSnapshot {
            worker.report_snapshot(group, message.to, SnapshotStatus::Failure);
        } else if tells {
            worker.report_unreachable(group, message.to);
        }
        Ok(())
    }

    pub fn deliver(&mut self, flight: Flight) -> Checked {
        let (from, to, group) = (flight.from, flight.to, flight.group);
        let is_blocked = self.network.blocked.contains(&(from, to));
        let is_there = self.brokers[to].is_up()
            && self.brokers[to].local.get(&group) == Some(&flight.message.to);
        if is_blocked || !is_there {
            self.lost(flight)?;
            return self.pump(from);
        }
        let is_snapshot = flight.message.get_msg_type() == MessageType::MsgSnapshot;
        if is_snapshot && !self.ship(&flight)? {
            self.lost(flight)?;
            return self.pump(from);
        }
        if !self.brokers[to].is_up() {
            return Ok(());
        }
        let (sender, target) = (flight.message.from, flight.message.to);
        self.running(to).worker.message(group, flight.message);
        self.pump(to)?;
        if is_snapshot
            && self.brokers[from].is_up()
            && self.brokers[from].local.get(&group) == Some(&sender)
        {
            let worker = &mut self.running(from).worker;
            worker.report_snapshot(group, target, SnapshotStatus::Finish);
            self.pump(from)?;
        }
        Ok(())
    }

    pub fn cut(&mut self, broker: usize) {
        let other = self.rng.random_range(0..self.brokers.len());
        let kind = self.rng.random_range(0..3);
        self.note(format!("network is cut at broker {broker}, kind {kind}"));
        for to in 0..self.brokers.len() {
            match kind {
                0 => {
                    self.network.blocked.insert((broker, to));
                    self.network.blocked.insert((to, broker));
                }
                1 => {
                    self.network.blocked.insert((broker, to));
                }
                _ => {
                    self.network.blocked.insert((other, broker));
                }
            }
        }
    }
}
