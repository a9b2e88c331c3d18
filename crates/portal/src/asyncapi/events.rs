//! Events: the channels under whose keys they are published, and the queues that receive them.

use bus::{Pattern, Queue, Subscription};
use kernel::Section;
use serde_json::{Map, Value, json};

use super::proto_messages::ProtoMessage;
use super::{EVENTS, message_reference};

/// A message that says what happened.
pub struct EventMessage<'a> {
    pub message: &'a ProtoMessage,
    /// Its routing key, such as `news.{section}.published`.
    key: String,
}

impl<'a> EventMessage<'a> {
    /// Returns the event of a message whose comment names a routing key.
    pub fn parse(message: &'a ProtoMessage) -> Option<Self> {
        Some(Self { message, key: message.routing_key()? })
    }

    pub fn channel_name(&self) -> String {
        self.key.replace(".{section}", "").replace(".{service}", "")
    }

    /// Returns its routing keys, each with the service that publishes under it.
    fn publishers(&self) -> Vec<(&'static str, String)> {
        match self.message.package.as_str() {
            "portal.news.v1" => Section::ALL.map(|it| (it.service(), key_of(&self.key, it))).into(),
            // The orchestrator publishes readings: it answers the readers.
            "portal.events.v1" => Section::ALL.map(|it| ("orchestrator", key_of(&self.key, it))).into(),
            // Every service that stores something about people sends receipts of erasures.
            "portal.erasures.v1" => {
                let sections = Section::ALL.map(Section::service);
                let services = ["users"].into_iter().chain(sections).chain(["recommendations"]);
                services.map(|service| (service, self.key.replace("{service}", service))).collect()
            }
            _ => vec![("users", self.key.clone())],
        }
    }

    fn matches(&self, subscription: &Subscription) -> bool {
        let patterns: Vec<Pattern> = subscription.keys.iter().filter_map(|key| key.parse().ok()).collect();
        self.publishers().iter().any(|(_, key)| patterns.iter().any(|pattern| pattern.matches(key)))
    }

    pub fn to_channel(&self) -> Value {
        let exchange =
            json!({"name": EVENTS, "type": "topic", "durable": true, "autoDelete": false, "vhost": "portal"});
        let mut channel = json!({
            "address": self.key,
            "title": self.message.name,
            "description": self.message.description(),
            "messages": {self.message.name.as_str(): message_reference(&self.message.name)},
            "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
        });
        if self.key.contains("{section}") {
            channel["parameters"] = json!({"section": {
                "enum": Section::ALL.map(Section::as_str),
                "description": "The section of the article.",
            }});
        }
        if self.key.contains("{service}") {
            let services: Vec<&str> = self.publishers().into_iter().map(|(service, _)| service).collect();
            channel["parameters"] =
                json!({"service": {"enum": services, "description": "The service that publishes it."}});
        }
        channel
    }

    pub fn to_operation(&self) -> Value {
        let mut senders: Vec<&str> = self.publishers().into_iter().map(|(service, _)| service).collect();
        senders.dedup();
        json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{}", self.channel_name())},
            "messages": [{"$ref": format!("#/channels/{}/messages/{}", self.channel_name(), self.message.name)}],
            "summary": format!("Published by {}.", senders.join(", ")),
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": true, "timestamp": true, "bindingVersion": "0.3.0"}},
            "x-services": senders,
        })
    }
}

fn key_of(key: &str, section: Section) -> String {
    key.replace("{section}", section.as_str())
}

/// A subscription as the document shows it: a queue of its own, or a queue of each process for broadcasts.
pub struct Receiver<'a> {
    /// The name of the queue, which is that of the channel too.
    pub name: String,
    subscription: &'a Subscription,
    /// The names of the messages that it receives.
    messages: Vec<&'a str>,
}

impl<'a> Receiver<'a> {
    pub fn new(subscription: &'a Subscription, events: &[EventMessage<'a>]) -> Self {
        let name = match &subscription.queue {
            Queue::Durable(name) => name.clone(),
            Queue::Broadcast => format!("{}.broadcast", subscription.service),
        };
        let matching = events.iter().filter(|event| event.matches(subscription));
        Self { name, subscription, messages: matching.map(|event| event.message.name.as_str()).collect() }
    }

    pub fn to_channel(&self) -> Value {
        let (address, queue) = match &self.subscription.queue {
            Queue::Durable(name) => (
                Value::from(name.as_str()),
                json!({"name": name, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "portal"}),
            ),
            Queue::Broadcast => (
                Value::Null,
                json!({"durable": false, "exclusive": true, "autoDelete": true, "vhost": "portal"}),
            ),
        };
        json!({
            "address": address,
            "description": self.description(),
            "messages": self.messages(),
            "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}},
            "x-bound-to": {"exchange": EVENTS, "keys": self.subscription.keys},
        })
    }

    fn messages(&self) -> Map<String, Value> {
        self.messages.iter().map(|name| ((*name).to_owned(), message_reference(name))).collect()
    }

    fn description(&self) -> String {
        let (name, service) = (&self.name, self.subscription.service);
        match self.subscription.queue {
            Queue::Durable(_) => format!(
                "A durable queue that all replicas of {service} share. A message that is refused for a transient reason is \
                 delivered again, through {name}.retry.<pause>. A message that is given up goes to {name}.dead, with the reason \
                 in its headers."
            ),
            Queue::Broadcast => format!(
                "A queue of each process of {service}, which is deleted with the process: every replica receives every message."
            ),
        }
    }

    pub fn to_operation(&self) -> Value {
        let service = self.subscription.service;
        let summary = match self.subscription.queue {
            Queue::Durable(_) => format!(
                "Handled by {service}, at least once and in any order. A message that is delivered twice has one effect."
            ),
            Queue::Broadcast => format!("Received by every process of {service} while it runs."),
        };
        let names = self.messages();
        let references =
            names.keys().map(|it| json!({"$ref": format!("#/channels/{}/messages/{it}", self.name)}));
        let messages: Vec<Value> = references.collect();
        json!({
            "action": "receive",
            "channel": {"$ref": format!("#/channels/{}", self.name)},
            "messages": messages,
            "summary": summary,
            "bindings": {"amqp": {"ack": true, "bindingVersion": "0.3.0"}},
            "x-services": [service],
        })
    }
}

/// Returns the headers of every event: `bus::Envelope`.
pub fn message_trait() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({"headers": {
        "type": "object",
        "required": [
            "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "ce-key", "ce-version", "traceparent",
        ],
        "properties": {
            "ce-specversion": {"type": "string", "const": "1.0"},
            "ce-id": text("UUIDv7 of the message. A consumer that must not act twice stores it with the effect."),
            "ce-type": text("The full name of the message, such as portal.news.v1.ArticlePublished."),
            "ce-source": text("The service that published it."),
            "ce-subject": text("The id of its subject: an article or an account."),
            "ce-time": text("The time of the event (RFC 3339)."),
            "ce-key": text("The routing key. On a queue of retries, the routing key of the broker differs from it."),
            "ce-version": {"type": "integer", "description": "The version of the subject after the event."},
            "traceparent": text("The trace of the request that caused it (W3C Trace Context)."),
        }
    }})
}
