//! What those hold who serve requests and accept connections.

use super::kind::Kind;
use super::meters::Meters;
use super::rate::{Rate, Windows};
use super::table::{Limit, Sharing, Table, Who};
use super::tokens::Tokens;
use crate::metadata::Quotas;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What is set, and what has been taken. Every number of milliseconds that it answers is for how long its client is not to be heard.
#[derive(Debug)]
pub struct Limiter {
    windows: Windows,
    controller_windows: Windows,
    /// By the order of [`Kind::ALL`]: whether anything is set.
    has: [AtomicBool; Kind::ALL.len()],
    followed: RwLock<Followed>,
    /// Of names a hash is kept: they may be long.
    names: RandomState,
    produce: Mutex<Meters<u64, Rate>>,
    fetch: Mutex<Meters<u64, Rate>>,
    request: Mutex<Meters<u64, Rate>>,
    mutations: Mutex<Meters<u64, Tokens>>,
    addresses: Mutex<Meters<IpAddr, Rate>>,
}

#[derive(Debug, Default)]
struct Followed {
    quotas: Quotas,
    table: Arc<Table>,
}

impl Limiter {
    pub fn new(windows: Windows, controller_windows: Windows) -> Limiter {
        Limiter {
            windows,
            controller_windows,
            has: Default::default(),
            followed: RwLock::default(),
            names: RandomState::new(),
            produce: Mutex::new(Meters::new(windows)),
            fetch: Mutex::new(Meters::new(windows)),
            request: Mutex::new(Meters::new(windows)),
            mutations: Mutex::new(Meters::new(controller_windows)),
            addresses: Mutex::new(Meters::new(windows)),
        }
    }

    /// From now on these hold.
    pub fn follow(&self, quotas: &Quotas) {
        let mut followed = self
            .followed
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&followed.quotas, quotas) {
            return;
        }
        let table = Table::new(quotas);
        for (kind, has) in Kind::ALL.into_iter().zip(&self.has) {
            has.store(table.has(kind), Ordering::Release);
            if !table.has(kind) {
                self.forget(kind);
            }
        }
        *followed = Followed {
            quotas: quotas.clone(),
            table: Arc::new(table),
        };
    }

    fn forget(&self, kind: Kind) {
        match kind {
            Kind::Produce => lock(&self.produce).clear(),
            Kind::Fetch => lock(&self.fetch).clear(),
            Kind::Request => lock(&self.request).clear(),
            Kind::ControllerMutation => lock(&self.mutations).clear(),
            Kind::ConnectionCreation => lock(&self.addresses).clear(),
        }
    }

    /// Whether anybody has such a quota. Where nobody has, nothing else needs to be asked.
    pub fn has(&self, kind: Kind) -> bool {
        self.has[kind as usize].load(Ordering::Acquire)
    }

    fn table(&self) -> Arc<Table> {
        let followed = self.followed.read().unwrap_or_else(PoisonError::into_inner);
        followed.table.clone()
    }

    fn limit(&self, kind: Kind, who: Who<'_>) -> Option<(Limit, u64)> {
        if !self.has(kind) {
            return None;
        }
        let limit = self.table().limit(kind, who)?;
        let key = match limit.sharing {
            Sharing::UserAndClientId => (Some(who.user), Some(who.client_id)),
            Sharing::User => (Some(who.user), None),
            Sharing::ClientId => (None, Some(who.client_id)),
        };
        Some((limit, self.names.hash_one(key)))
    }

    fn rates(&self, kind: Kind) -> Option<&Mutex<Meters<u64, Rate>>> {
        match kind {
            Kind::Produce => Some(&self.produce),
            Kind::Fetch => Some(&self.fetch),
            Kind::Request => Some(&self.request),
            Kind::ControllerMutation | Kind::ConnectionCreation => None,
        }
    }

    /// So much was taken: bytes, or percent of a second.
    pub fn take(&self, kind: Kind, who: Who<'_>, amount: f64, now_ms: u64) -> u64 {
        let Some((limit, key)) = self.limit(kind, who) else {
            return 0;
        };
        let Some(rates) = self.rates(kind) else {
            return 0;
        };
        let mut rates = lock(rates);
        let rate = rates.get(key, now_ms, Rate::default);
        rate.record(self.windows, amount, now_ms);
        let excess_ms = rate.excess_ms(self.windows, limit.bound, now_ms);
        match kind {
            // Who has used much time is kept away for one window at a time.
            Kind::Request => excess_ms.min(self.windows.length_ms),
            _ => excess_ms,
        }
    }

    /// It was not taken after all.
    pub fn give_back(&self, kind: Kind, who: Who<'_>, amount: f64, now_ms: u64) {
        if let Some((_, key)) = self.limit(kind, who)
            && let Some(rates) = self.rates(kind)
        {
            let mut rates = lock(rates);
            let rate = rates.get(key, now_ms, Rate::default);
            rate.record(self.windows, -amount, now_ms);
        }
    }

    /// More at once would be too much even of who has taken nothing.
    pub fn most(&self, kind: Kind, who: Who<'_>) -> Option<f64> {
        let (limit, _) = self.limit(kind, who)?;
        // With a single window Kafka would let nothing through.
        let windows = self.windows.count.saturating_sub(1).max(1);
        Some(limit.bound * f64::from(windows) * self.windows.length_s())
    }

    /// So many partitions are made or deleted. Those of a client that learns of it are refused while too much is owed.
    pub fn mutate(&self, who: Who<'_>, partitions: f64, now_ms: u64) -> Result<(), u64> {
        let Some((limit, key)) = self.limit(Kind::ControllerMutation, who) else {
            return Ok(());
        };
        let windows = self.controller_windows;
        let mut mutations = lock(&self.mutations);
        let new = || Tokens::new(windows, limit.bound, now_ms);
        let tokens = mutations.get(key, now_ms, new);
        match tokens.debt_ms(windows, limit.bound, now_ms) {
            0 => {
                tokens.take(windows, limit.bound, partitions, now_ms);
                Ok(())
            }
            debt_ms => Err(debt_ms),
        }
    }

    /// The same, of clients that cannot be refused.
    pub fn mutate_anyway(&self, who: Who<'_>, partitions: f64, now_ms: u64) -> u64 {
        let Some((limit, key)) = self.limit(Kind::ControllerMutation, who) else {
            return 0;
        };
        let windows = self.controller_windows;
        let mut mutations = lock(&self.mutations);
        let new = || Tokens::new(windows, limit.bound, now_ms);
        let tokens = mutations.get(key, now_ms, new);
        tokens.take(windows, limit.bound, partitions, now_ms);
        tokens.debt_ms(windows, limit.bound, now_ms)
    }

    /// A connection of `ip` was made. One that is too much does not count.
    pub fn connect(&self, ip: IpAddr, now_ms: u64) -> u64 {
        if !self.has(Kind::ConnectionCreation) {
            return 0;
        }
        let Some(bound) = self.table().of_address(ip) else {
            return 0;
        };
        let mut addresses = lock(&self.addresses);
        let rate = addresses.get(ip, now_ms, Rate::default);
        rate.record(self.windows, 1.0, now_ms);
        let excess_ms = rate.excess_ms(self.windows, bound, now_ms);
        if excess_ms > 0 {
            rate.record(self.windows, -1.0, now_ms);
        }
        excess_ms.min(self.windows.length_ms)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{QuotaEntity, QuotaName};
    use std::collections::BTreeMap;

    fn limiter() -> Limiter {
        Limiter::new(Windows::new(11, 1), Windows::new(11, 1))
    }

    fn of_clients(name: QuotaName, kind: Kind, bound: f64) -> Quotas {
        let entity = QuotaEntity {
            client_id: Some(name),
            ..Default::default()
        };
        let values = BTreeMap::from([(kind.key().to_owned(), bound)]);
        Quotas::new(BTreeMap::from([(entity, values)]))
    }

    fn who(client_id: &str) -> Who<'_> {
        Who {
            user: "ANONYMOUS",
            client_id,
        }
    }

    #[test]
    fn kinds_are_in_the_order_of_their_list() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn a_default_is_each_clients_own() {
        let limiter = limiter();
        assert!(!limiter.has(Kind::Produce));
        assert_eq!(limiter.take(Kind::Produce, who("a"), 1e9, 0), 0);
        limiter.follow(&of_clients(QuotaName::Default, Kind::Produce, 100.0));
        assert!(limiter.has(Kind::Produce));
        assert_eq!(limiter.take(Kind::Produce, who("a"), 2_000.0, 0), 10_000);
        assert_eq!(limiter.take(Kind::Produce, who("b"), 500.0, 0), 0);
        limiter.give_back(Kind::Produce, who("a"), 2_000.0, 0);
        assert_eq!(limiter.take(Kind::Produce, who("a"), 500.0, 0), 0);
    }

    #[test]
    fn a_quota_that_is_taken_away_is_forgotten() {
        let limiter = limiter();
        let quotas = of_clients(QuotaName::Default, Kind::Produce, 100.0);
        limiter.follow(&quotas);
        assert!(limiter.take(Kind::Produce, who("a"), 1e6, 0) > 0);
        limiter.follow(&Quotas::default());
        assert_eq!(limiter.take(Kind::Produce, who("a"), 1e6, 0), 0);
        limiter.follow(&quotas);
        assert_eq!(limiter.take(Kind::Produce, who("a"), 500.0, 0), 0);
    }

    #[test]
    fn time_keeps_a_client_away_for_one_window_at_most() {
        let limiter = limiter();
        limiter.follow(&of_clients(QuotaName::Default, Kind::Request, 1.0));
        assert_eq!(limiter.take(Kind::Request, who("a"), 100_000.0, 0), 1_000);
    }

    #[test]
    fn who_can_be_refused_owes_once_and_who_cannot_owes_more() {
        let limiter = limiter();
        let quotas = of_clients(QuotaName::Of("a".to_owned()), Kind::ControllerMutation, 1.0);
        limiter.follow(&quotas);
        assert_eq!(limiter.mutate(who("b"), 1e9, 0), Ok(()));
        assert_eq!(limiter.mutate(who("a"), 13.0, 0), Ok(()));
        assert_eq!(limiter.mutate(who("a"), 1.0, 0), Err(2_000));
        assert_eq!(limiter.mutate(who("a"), 1.0, 1_500), Err(500));
        assert_eq!(limiter.mutate_anyway(who("a"), 1.0, 1_500), 1_500);
        assert_eq!(limiter.mutate(who("a"), 1.0, 3_000), Ok(()));
    }

    #[test]
    fn a_connection_that_is_too_much_does_not_count() {
        let limiter = limiter();
        let ip = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(limiter.connect(ip, 0), 0);
        let entity = QuotaEntity {
            ip: Some(QuotaName::Default),
            ..Default::default()
        };
        let key = Kind::ConnectionCreation.key().to_owned();
        let values = BTreeMap::from([(key, 1.0)]);
        limiter.follow(&Quotas::new(BTreeMap::from([(entity, values)])));
        for _ in 0..10 {
            assert_eq!(limiter.connect(ip, 0), 0);
        }
        for _ in 0..100 {
            assert_eq!(limiter.connect(ip, 0), 1_000);
        }
        assert_eq!(limiter.connect(IpAddr::from([10, 0, 0, 2]), 0), 0);
        assert_eq!(limiter.connect(ip, 1_000), 1_000, "the same 10 in 10 s");
        assert_eq!(limiter.connect(ip, 11_000), 0);
    }
}
