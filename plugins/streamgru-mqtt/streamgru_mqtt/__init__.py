"""MQTT for streamgru: sensor messages in, predictions out."""

from streamgru_mqtt.sink import MqttSink, MqttsSink
from streamgru_mqtt.source import MqttSource, MqttsSource

__all__ = ["MqttSink", "MqttSource", "MqttsSink", "MqttsSource"]
