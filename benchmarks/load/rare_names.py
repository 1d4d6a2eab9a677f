"""A house whose things have rare names, twenty in each of ten rooms, and what is said there."""

from __future__ import annotations

from collections.abc import Iterator

_THINGS = {
    "kitchen": "Ecobee, Vitamix, Thermomix, Miele, Smeg, Nespresso, Gaggia, Sodastream, Kenwood, Zwilling, Le Creuset, "
    "Bora hood, Quooker, Brabantia, Tefal, Polti, Cosori, Vorwerk, Liebherr, Cuisinart",
    "living room": "Nanoleaf, Govee, Lutron, Sonos, Bluesound, Denon, Marantz, Hegel, Yeelight, Lifx, Roborock, "
    "Deebot, Klipsch, Philco, Tolomeo, Pixoo, Cabasse, Onkyo, Wiim, Artemide",
    "hall": "Nuki, Ajax, Reolink, Eufy, Doorbird, Aqara, Somfy, Velux, Danalock, Brivo, Hikvision, Amcrest, Netatmo, "
    "Loxone, Gira, Bticino, Siedle, Tapkey, Dahua, Foscam",
    "study": "Fritzbox, Synology, Plex, Proxmox, Octoprint, Prusa, Creality, Unraid, Ubiquiti, Mikrotik, Zyxel, "
    "Elgato, Wacom, Shelly, Tasmota, Zigbee, Bekant, Qnap, Jellyfin, Lenovo",
    "nursery": "Nanit, Owlet, Tonie, Yoto, Miffy, Eeyore, Moomin, Zapf, Babybjorn, Doona, Graco, Chicco, Stokke, "
    "Lovevery, Pikachu, Skwish, Totoro, Gruffalo, Bugaboo, Ergobaby",
    "bedroom": "Withings, Oura, Lumie, Dreame, Dyson, Levoit, Tempur, Somnox, Emfit, Hastens, Malm, Tradfri, Sigrid, "
    "Aoife, Siobhan, Niamh, Caoimhe, Bronagh, Tadhg, Oisin",
    "bathroom": "Grohe, Hansgrohe, Duravit, Geberit, Laufen, Toto, Waterpik, Foreo, Sonicare, Dornbracht, Keuco, "
    "Zehnder, Kaldewei, Villeroy, Axor, Schedel, Klafs, Harvia, Ideal Standard, Roca",
    "garden": "Gardena, Husqvarna, Rachio, Netro, Automower, Worx, Stihl, Segway, Traeger, Ooni, Fiskars, Luba, "
    "Navimow, Kettler, Einhell, Hozelock, Solo stove, Orbit, Weber, Makita",
    "garage": "Wallbox, Zappi, Rivian, Ioniq, Polestar, Taycan, Enyaq, Skoda, Vespa, Brompton, Karcher, Festool, "
    "Meross, Zaptec, Webasto, Juicebox, Peugeot, Cupra, Dacia, Mazda",
    "cellar": "Viessmann, Vaillant, Buderus, Daikin, Fronius, Kostal, Victron, Enphase, Tibber, Growatt, Pylontech, "
    "Sonnen, Senec, Grundfos, Wilo pump, Zendure, Judo softener, Huawei, Solaredge, Goodwe",
}
ROOMS = {room: tuple(things.split(", ")) for room, things in _THINGS.items()}
"""Their names by their room."""

_WITH = (
    "turn on the {} please",
    "what is {} doing right now",
    "tell the {} to stop",
    "switch off {} in ten minutes",
    "is the {} still running in the {room}",
    "ask {} when it will be done",
    "set the {} to half and call me",
)
"""With an article and without: people say both."""

WITHOUT = (
    "turn off the kitchen light", "set a timer for ten minutes", "what is the temperature outside",
    "close the garden door",
    "what will the weather be like tomorrow", "play some music in the living room", "add milk and bread to the list",
    "how long until the washing is done", "open the garage door", "call me when dinner is ready", "stop", "yes please",
    "remind me to water the plants on friday", "is the front door locked", "good night and thank you",
    "make it a little warmer in here", "turn everything off when I leave", "who was at the door this morning",
    "read me the news", "start the fan",
)  # fmt: skip
"""Sentences in which none of them is said."""


def sentences() -> Iterator[tuple[str, str, str]]:
    """The room in which each is said, the name in it, and the sentence."""
    names = [(room, name) for room, own in ROOMS.items() for name in own]
    for number, (room, name) in enumerate(names):
        yield room, name, _WITH[number % len(_WITH)].format(name, room=room)
