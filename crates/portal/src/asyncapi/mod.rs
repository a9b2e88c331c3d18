//! The bus as an AsyncAPI 3 document. The published messages come from the comments of `proto/`, the
//! subscriptions from the services as they are built, so neither is written twice. Tests compare the document
//! with the messages on a bus, and with the definitions of the broker.

mod calls;
mod events;
mod proto_messages;
#[cfg(test)]
mod tests;

use bus::Declarations;
use chassis::Surroundings;
use serde_json::{Map, Value, json};

use self::calls::CallMessage;
use self::events::EventMessage;
use self::proto_messages::ProtoMessage;
use crate::config::{self, Flags};
use crate::run;

/// The topic exchange of all events.
const EVENTS: &str = "portal.events";
/// The exchange of all calls.
const CALLS: &str = "portal.calls";

/// Returns the document as JSON, with a line feed at its end. It depends on the code only: the services are
/// built on stores in a temporary folder, and no configuration is read.
///
/// # Errors
/// If the folder can't be created or written, or a service can't be built.
pub async fn document() -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
    let config = config::load_without_environment(&flags)?.service;
    let surroundings = Surroundings::one_process();
    let bus = bus::open_local(config.users.bus.url.expose(), &surroundings).await?;
    let services = Box::pin(run::build(config, &surroundings)).await?;
    let declarations = bus.declarations();
    for closer in services.into_iter().flat_map(|service| service.closers) {
        closer.await;
    }
    bus::Bus::close(&*bus).await;
    let document = describe_bus(&proto_messages::read_all()?, &declarations);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Returns the document of these messages, with the subscriptions and the served calls.
fn describe_bus(messages: &[ProtoMessage], declarations: &Declarations) -> Value {
    let events: Vec<EventMessage<'_>> = messages.iter().filter_map(EventMessage::parse).collect();
    let calls: Vec<CallMessage<'_>> = messages.iter().filter_map(CallMessage::parse).collect();
    let (channels, operations) = channels_and_operations(&events, &calls, declarations);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "News portal: the bus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The messages that the services publish, and the calls between them. Bodies are protobuf (proto/ in \
                the sources); the schemas name the fields as protobuf does. The envelope follows CloudEvents. In a fleet the bus \
                is RabbitMQ. In one process it is a file and the memory of the process, with the same queues, retries and dead \
                letters."
        },
        "defaultContentType": "application/protobuf",
        "servers": {
            "fleet": {
                "host": "rabbitmq:5672",
                "pathname": "/portal",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The broker of a fleet, which clients of the portal cannot reach. Each service has its own user, \
                    whose permissions are in queue/definitions.json."
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": message_components(&events, &calls),
            "messageTraits": {
                "event": events::message_trait(),
                "call": calls::call_trait(),
                "reply": calls::reply_trait(),
            },
            "schemas": schemas(messages, &events, &calls),
        }
    })
}

fn channels_and_operations(
    events: &[EventMessage<'_>],
    calls: &[CallMessage<'_>],
    declarations: &Declarations,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for event in events {
        channels.insert(event.channel_name(), event.to_channel());
        operations.insert(format!("{}.send", event.channel_name()), event.to_operation());
    }
    for subscription in &declarations.subscriptions {
        let receiver = events::Receiver::new(subscription, events);
        operations.insert(format!("{}.receive", receiver.name), receiver.to_operation());
        channels.insert(receiver.name.clone(), receiver.to_channel());
    }
    for family in calls::FAMILIES {
        let (own, name) = (family.calls_of(calls), family.calls_channel());
        channels.insert(name.clone(), family.call_channel(&own, declarations));
        channels.insert(family.replies_channel(), family.reply_channel(&own));
        for call in own {
            operations.insert(format!("{name}.{}", call.method), family.to_operation(call));
        }
    }
    (channels, operations)
}

/// Returns a reference to a message of the components.
fn message_reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/messages/{name}")})
}

fn message_components(events: &[EventMessage<'_>], calls: &[CallMessage<'_>]) -> Map<String, Value> {
    let component = |package: &str, name: &str, message_trait: &str| {
        json!({
            "name": format!("{package}.{name}"),
            "title": name,
            "contentType": "application/protobuf",
            "payload": {"$ref": format!("#/components/schemas/{package}.{name}")},
            "traits": [{"$ref": format!("#/components/messageTraits/{message_trait}")}],
        })
    };
    let mut all = Map::new();
    for event in events {
        let ProtoMessage { package, name, .. } = event.message;
        all.insert(name.clone(), component(package, name, "event"));
    }
    for CallMessage { message, reply, .. } in calls {
        all.insert(message.name.clone(), component(&message.package, &message.name, "call"));
        all.insert(reply.clone(), component(&message.package, reply, "reply"));
    }
    all
}

/// Returns the schemas of these messages, and of all messages inside them.
fn schemas(
    messages: &[ProtoMessage],
    events: &[EventMessage<'_>],
    calls: &[CallMessage<'_>],
) -> Map<String, Value> {
    let of_calls =
        calls.iter().flat_map(|it| [it.message.full_name(), format!("{}.{}", it.message.package, it.reply)]);
    let mut open: Vec<String> =
        events.iter().map(|event| event.message.full_name()).chain(of_calls).collect();
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
