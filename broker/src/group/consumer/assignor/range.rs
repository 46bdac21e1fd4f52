//! Of each topic, a run of neighbours for everybody.

use super::Subscriber;
use crate::group::catalog::Catalog;
use crate::group::consumer::Partitions;

pub fn assign(members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| (members[*at].instance_id, members[*at].id));
    let mut assigned = vec![Partitions::new(); members.len()];
    for topic in catalog.topics() {
        let wanting = order
            .iter()
            .filter(|at| members[**at].topics.contains(&topic.id));
        let wanting: Vec<usize> = wanting.copied().collect();
        let mut rest = topic.partitions();
        for (at, member) in wanting.iter().enumerate() {
            let share = rest.len().div_ceil(wanting.len() - at);
            let run: Vec<i32> = rest.by_ref().take(share).collect();
            if !run.is_empty() {
                assigned[*member].insert(topic.id, run.into_iter().collect());
            }
        }
    }
    assigned
}
