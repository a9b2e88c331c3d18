//! The laws of the two queries.

use super::{DAY, MINUTE, TestGraph, at, counts, give_consent, label, read, read_counts, reader};

pub(crate) async fn labels_come_heaviest_first(graph: TestGraph) {
    let anna = reader(1);
    give_consent(&graph, anna).await;
    let days = |days: i64| days * DAY / MINUTE;
    read(&graph, anna, 1, days(0), &["often", "old"]).await;
    read(&graph, anna, 2, days(1), &["often"]).await;
    read(&graph, anna, 3, days(28), &["fresh", "also fresh"]).await;
    // 28 days are two half-lives: two old readings weigh half of a fresh one. Equal weights are sorted by
    // label.
    let all = read_counts(&graph, anna).await;
    assert_eq!(all, counts(&[("also fresh", 1), ("fresh", 1), ("often", 2), ("old", 1)]));
    assert_eq!(graph.labels_of(anna, 2).await.expect("labels").len(), 2);
}

pub(crate) async fn an_unknown_reader_has_no_labels(graph: TestGraph) {
    give_consent(&graph, reader(1)).await;
    read(&graph, reader(1), 1, 0, &["budget"]).await;
    assert_eq!(graph.labels_of(reader(2), 100).await.expect("the graph answers"), []);
}

pub(crate) async fn pages_of_a_readers_visits_join_without_a_gap(graph: TestGraph) {
    let (anna, ben) = (reader(1), reader(2));
    for by in [anna, ben] {
        give_consent(&graph, by).await;
        for article in [3, 1, 2] {
            for minutes in [0, 40, 41] {
                read(&graph, by, article, minutes, &["budget", "Tax"]).await;
            }
        }
    }
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = graph.visits_of(anna, after, 4).await.expect("visits");
        let Some((key, _)) = page.last() else { break };
        after = Some(*key);
        assert!(page.len() <= 4);
        walked.extend(page);
    }
    let keys: Vec<_> =
        walked.iter().map(|(key, visit)| (key.article.uuid().as_u128(), visit.first_at)).collect();
    let expected: Vec<_> =
        [1, 2, 3].into_iter().flat_map(|article| [0, 40, 41].map(|minutes| (article, at(minutes)))).collect();
    assert_eq!(keys, expected);
    let counted: Vec<bool> = walked.iter().map(|(_, visit)| visit.counted).collect();
    assert_eq!(counted, [true, true, false].repeat(3));
    assert!(walked.iter().all(|(_, visit)| visit.labels.len() == 2));
}

pub(crate) async fn an_unknown_reader_has_no_visits(graph: TestGraph) {
    give_consent(&graph, reader(1)).await;
    read(&graph, reader(1), 1, 0, &["budget"]).await;
    assert_eq!(graph.visits_of(reader(2), None, 100).await.expect("the graph answers"), []);
}

pub(crate) async fn readers_of_a_label_come_heaviest_first_up_to_the_limit(graph: TestGraph) {
    for number in 1..=4 {
        give_consent(&graph, reader(number)).await;
    }
    read(&graph, reader(1), 1, 0, &["budget"]).await;
    read(&graph, reader(2), 1, 5, &["budget", "tax"]).await;
    read(&graph, reader(3), 1, 0, &["budget"]).await;
    read(&graph, reader(3), 2, 5, &["budget"]).await;
    read(&graph, reader(4), 1, 9, &["tax"]).await;
    let budget = graph.readers_of(&label("budget"), 10).await.expect("readers");
    assert_eq!(budget, [reader(3), reader(2), reader(1)]);
    assert_eq!(graph.readers_of(&label("budget"), 1).await.expect("readers"), [reader(3)]);
}

pub(crate) async fn an_unknown_label_has_no_readers(graph: TestGraph) {
    give_consent(&graph, reader(1)).await;
    read(&graph, reader(1), 1, 0, &["budget"]).await;
    // A repetition with another label creates an edge without weight, so the label has no readers yet.
    read(&graph, reader(1), 1, 5, &["tax"]).await;
    assert_eq!(graph.readers_of(&label("sport' or 1=1 --"), 10).await.expect("readers"), []);
    assert_eq!(graph.readers_of(&label("tax"), 10).await.expect("readers"), []);
}
