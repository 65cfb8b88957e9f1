"""One way to make a client for the two generations of paho-mqtt (1.6 of Debian 12, and 2.x)."""
import paho.mqtt.client as mqtt


def new_client(client_id: str) -> mqtt.Client:
    """A client with a clean session; give its callbacks `*_` for what differs between the generations."""
    versions = getattr(mqtt, "CallbackAPIVersion", None)
    generation = (versions.VERSION2,) if versions else ()
    return mqtt.Client(*generation, client_id=client_id, clean_session=True)
