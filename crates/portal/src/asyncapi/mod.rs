//! The bus as an AsyncAPI 3 document: what is published comes from the comments of `proto/`, what is
//! subscribed from the services as they are built, so neither is written twice. Tests hold it against what
//! really goes over the bus, and against the broker's definitions.

mod described;
#[cfg(test)]
mod tests;

use bus::{Declarations, Pattern, Queue, Subscription};
use chassis::Surroundings;
use kernel::Section;
use serde_json::{Map, Value, json};

use self::described::Described;
use crate::config::{self, Flags};
use crate::run;

/// The topic exchange of every fact.
const EVENTS: &str = "portal.events";
/// The exchange of every call.
const CALLS: &str = "portal.calls";

/// The document as JSON, with a line's end. It follows from the code alone: the services are built on stores
/// in a folder that is gone afterwards, and no configuration is read.
///
/// # Errors
/// Where the folder can't be made or written, or the bus of a service can't be asked.
pub async fn document() -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
    let config = config::load_without_environment(&flags)?.service;
    let around = Surroundings::one_process();
    let bus = bus::open_local(config.users.bus.url.expose(), &around).await?;
    let services = Box::pin(run::build(config, &around)).await?;
    let declarations = bus.declarations();
    for closer in services.into_iter().flat_map(|service| service.closers) {
        closer.await;
    }
    bus::Bus::close(&*bus).await;
    Ok(serde_json::to_string_pretty(&of(&described::all()?, &declarations))? + "\n")
}

/// The document of these messages and of who takes them.
fn of(messages: &[Described], declarations: &Declarations) -> Value {
    let facts: Vec<Fact<'_>> = messages.iter().filter_map(Fact::of).collect();
    let calls: Vec<Asked<'_>> = messages.iter().filter_map(Asked::of).collect();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for fact in &facts {
        channels.insert(fact.channel(), fact.as_channel());
        operations.insert(format!("{}.send", fact.channel()), fact.as_operation());
    }
    for subscription in &declarations.subscriptions {
        let (name, channel, operation) = taken(subscription, &facts);
        channels.insert(name.clone(), channel);
        operations.insert(format!("{name}.receive"), operation);
    }
    channels.insert("news.calls".to_owned(), call_channel(&calls, declarations));
    channels.insert("news.replies".to_owned(), reply_channel(&calls));
    for asked in &calls {
        operations.insert(format!("news.calls.{}", asked.method), asked.as_operation());
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "News portal: the bus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the services tell and ask one another. Bodies are protobuf (proto/ of the sources); the schemas \
                show them by their names. The envelope follows CloudEvents. In a fleet this is RabbitMQ, in one process a file \
                and the process's own memory, with the same queues, retries and dead letters."
        },
        "defaultContentType": "application/protobuf",
        "servers": {
            "fleet": {
                "host": "rabbitmq:5672",
                "pathname": "/portal",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The broker of a fleet, which no client of the portal reaches. Each service has a user of its own, \
                    and queue/definitions.json says what it may touch."
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": message_components(&facts, &calls),
            "messageTraits": {"event": event_trait(), "call": call_trait(), "reply": reply_trait()},
            "schemas": schemas(messages, &facts, &calls),
        }
    })
}

/// A message that tells what happened.
struct Fact<'a> {
    message: &'a Described,
    /// `news.{section}.published`.
    key: String,
}

impl<'a> Fact<'a> {
    fn of(message: &'a Described) -> Option<Self> {
        Some(Self { message, key: message.routing_key()? })
    }

    fn channel(&self) -> String {
        self.key.replace(".{section}", "").replace(".{service}", "")
    }

    /// Its routing keys, each with the service that publishes under it.
    fn published(&self) -> Vec<(&'static str, String)> {
        match self.message.package.as_str() {
            "portal.news.v1" => Section::ALL.map(|it| (it.service(), filled(&self.key, it))).into(),
            // Facts that no owner of data says: the orchestrator sees readers read.
            "portal.events.v1" => Section::ALL.map(|it| ("orchestrator", filled(&self.key, it))).into(),
            // Every service that stores something about people sends receipts of erasures.
            "portal.erasures.v1" => {
                let sections = Section::ALL.map(Section::service);
                let services = ["users"].into_iter().chain(sections).chain(["recommendations"]);
                services.map(|service| (service, self.key.replace("{service}", service))).collect()
            }
            _ => vec![("users", self.key.clone())],
        }
    }

    fn is_wanted_by(&self, subscription: &Subscription) -> bool {
        let patterns: Vec<Pattern> = subscription.keys.iter().filter_map(|key| key.parse().ok()).collect();
        self.published().iter().any(|(_, key)| patterns.iter().any(|pattern| pattern.matches(key)))
    }

    fn as_channel(&self) -> Value {
        let mut channel = json!({
            "address": self.key,
            "title": self.message.name,
            "description": self.message.sentence(),
            "messages": {self.message.name.as_str(): component(&self.message.name)},
            "bindings": {"amqp": {
                "is": "routingKey",
                "exchange": {"name": EVENTS, "type": "topic", "durable": true, "autoDelete": false, "vhost": "portal"},
                "bindingVersion": "0.3.0",
            }},
        });
        if self.key.contains("{section}") {
            channel["parameters"] = json!({"section": {
                "enum": Section::ALL.map(Section::as_str),
                "description": "The section of the article.",
            }});
        }
        if self.key.contains("{service}") {
            let services: Vec<&str> = self.published().into_iter().map(|(service, _)| service).collect();
            channel["parameters"] =
                json!({"service": {"enum": services, "description": "The service that publishes it."}});
        }
        channel
    }

    fn as_operation(&self) -> Value {
        let mut senders: Vec<&str> = self.published().into_iter().map(|(service, _)| service).collect();
        senders.dedup();
        json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{}", self.channel())},
            "messages": [{"$ref": format!("#/channels/{}/messages/{}", self.channel(), self.message.name)}],
            "summary": format!("Published by {}.", senders.join(", ")),
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": true, "timestamp": true, "bindingVersion": "0.3.0"}},
            "x-services": senders,
        })
    }
}

fn filled(key: &str, section: Section) -> String {
    key.replace("{section}", section.as_str())
}

fn component(name: &str) -> Value {
    json!({"$ref": format!("#/components/messages/{name}")})
}

/// A queue, or a share in the broadcasts, as its name, its channel and what is done with it.
fn taken(subscription: &Subscription, facts: &[Fact<'_>]) -> (String, Value, Value) {
    let (service, keys) = (subscription.service, &subscription.keys);
    let wanted: Vec<&Fact<'_>> = facts.iter().filter(|fact| fact.is_wanted_by(subscription)).collect();
    let messages: Map<String, Value> =
        wanted.iter().map(|fact| (fact.message.name.clone(), component(&fact.message.name))).collect();
    let (name, address, queue, words) = match &subscription.queue {
        Queue::Durable(name) => (
            name.clone(),
            Value::from(name.as_str()),
            json!({"name": name, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "portal"}),
            format!(
                "A durable queue that every replica of {service} shares. What is refused for now comes again by way of \
                 {name}.retry.<pause>; what is given up lies in {name}.dead, with the reason in its headers."
            ),
        ),
        Queue::Broadcast => (
            format!("{service}.broadcast"),
            Value::Null,
            json!({"durable": false, "exclusive": true, "autoDelete": true, "vhost": "portal"}),
            format!(
                "A queue of each process of {service}, which ends with it: every replica gets every message."
            ),
        ),
    };
    let refs: Vec<Value> =
        messages.keys().map(|it| json!({"$ref": format!("#/channels/{name}/messages/{it}")})).collect();
    let channel = json!({
        "address": address,
        "description": words,
        "messages": messages,
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}},
        "x-bound-to": {"exchange": EVENTS, "keys": keys},
    });
    let handled = match subscription.queue {
        Queue::Durable(_) => {
            format!(
                "Handled by {service}, at least once and in any order; the effect of a repeated message is one."
            )
        }
        Queue::Broadcast => format!("Heard by every process of {service} while it runs."),
    };
    let operation = json!({
        "action": "receive",
        "channel": {"$ref": format!("#/channels/{name}")},
        "messages": refs,
        "summary": handled,
        "bindings": {"amqp": {"ack": true, "bindingVersion": "0.3.0"}},
        "x-services": [service],
    });
    (name, channel, operation)
}

/// A request over the bus.
struct Asked<'a> {
    message: &'a Described,
    /// `GetArticle`.
    method: &'a str,
    /// `ArticleReply`.
    reply: String,
}

impl<'a> Asked<'a> {
    /// The comments of calls begin with the method, and name the answer; those of gRPC do not.
    fn of(message: &'a Described) -> Option<Self> {
        let method = message.name.strip_suffix("Request")?;
        let said = message.comment.strip_prefix(&format!("{method}: "))?;
        let (_, reply) = said.split_once("Answered by ")?;
        let reply = reply.split([' ', '.']).next()?.to_owned();
        Some(Self { message, method, reply })
    }

    fn as_operation(&self) -> Value {
        let to = |channel: &str, name: &str| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
        json!({
            "action": "send",
            "channel": {"$ref": "#/channels/news.calls"},
            "messages": [to("news.calls", &self.message.name)],
            "summary": self.message.comment,
            "reply": {
                "address": {"location": "$message.header#/replyTo", "description": "The queue of the process that asks."},
                "channel": {"$ref": "#/channels/news.replies"},
                "messages": [to("news.replies", &self.reply)],
            },
            "x-services": ["orchestrator"],
        })
    }
}

fn call_channel(calls: &[Asked<'_>], declarations: &Declarations) -> Value {
    let messages: Map<String, Value> =
        calls.iter().map(|it| (it.message.name.clone(), component(&it.message.name))).collect();
    let served: Map<String, Value> =
        declarations.served.iter().map(|(service, address)| (address.clone(), (*service).into())).collect();
    json!({
        "address": "news.{section}.calls",
        "description": "Calls to a section. Its replicas share them; a call whose time is over is dropped.",
        "parameters": {"section": {"enum": Section::ALL.map(Section::as_str), "description": "The section that is asked."}},
        "messages": messages,
        "bindings": {"amqp": {
            "is": "routingKey",
            "exchange": {"name": CALLS, "type": "topic", "durable": true, "autoDelete": false, "vhost": "portal"},
            "bindingVersion": "0.3.0",
        }},
        "x-served-by": served,
    })
}

fn reply_channel(calls: &[Asked<'_>]) -> Value {
    let messages: Map<String, Value> =
        calls.iter().map(|asked| (asked.reply.clone(), component(&asked.reply))).collect();
    json!({
        "address": null,
        "description": "The answers to one process that asks.",
        "messages": messages,
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {"durable": false, "exclusive": true, "autoDelete": true, "vhost": "portal"},
            "bindingVersion": "0.3.0",
        }},
    })
}

fn message_components(facts: &[Fact<'_>], calls: &[Asked<'_>]) -> Map<String, Value> {
    let one = |package: &str, name: &str, like: &str| {
        json!({
            "name": format!("{package}.{name}"),
            "title": name,
            "contentType": "application/protobuf",
            "payload": {"$ref": format!("#/components/schemas/{package}.{name}")},
            "traits": [{"$ref": format!("#/components/messageTraits/{like}")}],
        })
    };
    let mut all = Map::new();
    for fact in facts {
        let Described { package, name, .. } = fact.message;
        all.insert(name.clone(), one(package, name, "event"));
    }
    for Asked { message, reply, .. } in calls {
        all.insert(message.name.clone(), one(&message.package, &message.name, "call"));
        all.insert(reply.clone(), one(&message.package, reply, "reply"));
    }
    all
}

/// The schemas of those messages, and of what they hold.
fn schemas(messages: &[Described], facts: &[Fact<'_>], calls: &[Asked<'_>]) -> Map<String, Value> {
    let called =
        calls.iter().flat_map(|it| [it.message.full_name(), format!("{}.{}", it.message.package, it.reply)]);
    let mut open: Vec<String> = facts.iter().map(|fact| fact.message.full_name()).chain(called).collect();
    let mut all = Map::new();
    while let Some(name) = open.pop() {
        let Some(message) = messages.iter().find(|message| message.full_name() == name) else { continue };
        if all.contains_key(&name) {
            continue;
        }
        let mut schema = message.schema.clone();
        schema["description"] = message.comment.clone().into();
        let text = schema.to_string();
        let inner = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        open.extend(inner.map(str::to_owned));
        all.insert(name, schema);
    }
    all
}

/// What every fact carries beside its body: `bus::Envelope`.
fn event_trait() -> Value {
    let text = |words: &str| json!({"type": "string", "description": words});
    json!({"headers": {
        "type": "object",
        "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "ce-key", "ce-version", "traceparent"],
        "properties": {
            "ce-specversion": {"type": "string", "const": "1.0"},
            "ce-id": text("UUIDv7 of the message: whoever must not act twice stores it with the effect."),
            "ce-type": text("The full name of the message, such as portal.news.v1.ArticlePublished."),
            "ce-source": text("The service that it comes from."),
            "ce-subject": text("The id of what it is about: an article, an account."),
            "ce-time": text("When it happened (RFC 3339)."),
            "ce-key": text("The routing key: on a queue of retries the broker's own is another one."),
            "ce-version": {"type": "integer", "description": "The version of the subject that it tells of."},
            "traceparent": text("The trace of the request that caused it (W3C Trace Context)."),
        }
    }})
}

/// What a call carries beside its body.
fn call_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The method is the message's name without Request. The caller's access token, an idempotency key, the trace and \
            the time that is left travel beside the body; who asks is said by the token alone.",
    }})
}

/// What an answer carries beside its body.
fn reply_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The answer to the call of its correlation id: the reply, or a refusal with its kind, code and fields.",
    }})
}
