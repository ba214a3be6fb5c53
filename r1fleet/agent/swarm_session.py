"""libtorrent's session as a swarm needs it: one address, the cluster's peers and nobody else, limits that limit."""

from __future__ import annotations

from typing import Any, Dict, List, Set, Tuple

import libtorrent as lt

from r1fleet.agent.swarm_files import Group

# What waits in a socket for a slow peer can be asked of no other one; only fast links need much to be kept busy.
_SOCKET, _FEW = 64 << 10, 2
_MOST_AHEAD = 2
"""For how many seconds a peer is asked ahead at most; one is the least."""
_NOBODY, _OPEN = 1, 0
_WRONG = lt.alert_category.error | lt.alert_category.ip_block

# What each is for was measured: docs/weights.md, "Between the hosts".
_SETTINGS: Dict[str, Any] = {
    "user_agent": "r1fleet",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "unchoke_slots_limit": -1,
    "connections_limit": 8000,
    "connection_speed": 200,
    "torrent_connect_boost": 100,
    "listen_queue_size": 400,
    "max_retry_port_bind": 0,
    "listen_system_port_fallback": False,
    "smooth_connects": False,
    "request_timeout": 10,
    "piece_timeout": 5,
    "min_reconnect_time": 2,
    "max_failcount": 1000,
    "peer_timeout": 20,
    "peer_turnover": 0,
    "close_redundant_connections": False,
    "allow_multiple_connections_per_ip": False,
    "allowed_fast_set_size": 0,
    "suggest_mode": 0,
    "piece_extent_affinity": False,
    "whole_pieces_threshold": 0,
    "max_out_request_queue": 500,
    "max_allowed_in_request_queue": 4000,
    "send_buffer_watermark": 1 << 20,
    "send_buffer_low_watermark": 16 << 10,
    "send_buffer_watermark_factor": 50,
    "max_queued_disk_bytes": 64 << 20,
    "file_pool_size": 500,
    "aio_threads": 4,
    "hashing_threads": 2,
    "no_atime_storage": True,
    "active_downloads": -1,
    "active_seeds": -1,
    "active_limit": -1,
    "rate_limit_ip_overhead": False,
}


class Wire:
    """One listening session, and the torrents on it."""

    def __init__(self, config: Dict[str, Any], port: int) -> None:
        self._port = port
        self._ahead = 1
        host = "[%s]" % config["address"] if ":" in config["address"] else config["address"]
        share = int(config["rate"]) // int(config["sessions"])
        params = lt.session_params()
        params.settings = {
            **_SETTINGS,
            "request_queue_time": self._ahead,
            **config.get("settings", {}),
            "listen_interfaces": "%s:%d" % (host, port),
            "outgoing_interfaces": config["interface"] or config["address"],
            "upload_rate_limit": share,
            "download_rate_limit": share,
            "send_socket_buffer_size": _SOCKET if int(config["sessions"]) <= _FEW else 8 * _SOCKET,
            "alert_mask": _WRONG | lt.alert_category.storage | lt.alert_category.piece_progress,
        }
        self._session = lt.session(params)
        self._session.set_ip_filter(_only(config["peers"]))
        self._session.set_peer_class_filter(_all_limited(self._session))

    def wait(self, seconds: float) -> None:
        """Wait for news, for so long at most."""
        self._session.wait_for_alert(int(seconds * 1000))

    def news(self) -> Tuple[Set[str], List[Tuple[Any, int, Any]], List[Any]]:
        """Return what went wrong or was refused since the last call, as text, pieces that were read, and the handles
        of torrents in which pieces have come.
        """
        told, read, whole = set(), [], []
        for alert in self._session.pop_alerts():
            if isinstance(alert, lt.read_piece_alert):
                read.append((alert.handle, int(alert.piece), alert.buffer))
            elif isinstance(alert, lt.piece_finished_alert):
                whole.append(alert.handle)
            elif alert.category() & _WRONG:
                told.add(alert.message())
        return told, read, whole

    def ask_ahead(self, behind: float) -> None:
        """Ask each peer the farther ahead the more seconds this host is ``behind`` what there is to be had.

        What waits at a peer can be had from no other one, so that little ahead is best where a host keeps up. But a
        peer whose link many share gives nothing for a second now and then, which costs a host its rate. What comes to
        a slow host is in the way of what it is asked for, so that there is a limit.
        """
        ahead = max(1, min(_MOST_AHEAD, int(behind / 2)))
        if ahead != self._ahead:
            self._ahead = ahead
            self._session.apply_settings({"request_queue_time": ahead})

    def mesh(self, group: Group, folder: str, have: List[bool], peers: List[str]) -> Any:
        """Take part in a group between the hosts; return its handle."""
        return self._add(group, b"mesh", folder, have, 4, peers)

    def watch(self, group: Group, folder: str, peers: List[str]) -> Any:
        """See how the hosts get on with a group, and neither give nor take; return its handle."""
        count = sum(group.pieces(row) for row in group.carried)
        return self._add(group, b"mesh", folder, [False] * count, 0, peers)

    def source(self, group: Group, folder: str, have: List[bool], peers: List[str]) -> Any:
        """Give a group out to the hosts, or take from the source what is asked for later; return its handle."""
        return self._add(group, b"source", folder, have, 0, peers)

    def _add(self, group: Group, name: bytes, folder: str, have: List[bool], priority: int, peers: List[str]) -> Any:
        given = lt.load_torrent_buffer(lt.bencode(group.metainfo(name)))
        given.renamed_files = group.paths(folder)
        given.save_path = folder
        given.have_pieces = have
        flags = lt.torrent_flags
        # Without apply_ip_filter a torrent lets everyone in, whatever the session's filter says.
        given.flags = (
            flags.apply_ip_filter | flags.disable_dht | flags.disable_lsd | flags.disable_pex | flags.no_verify_files
        )
        given.piece_priorities = [priority] * len(have)
        given.peers = [(address, self._port) for address in peers]
        handle = self._session.add_torrent(given)
        handle.set_max_uploads(-1)
        handle.set_max_connections(2000)
        return handle

    def connect(self, handle: Any, address: str) -> None:
        """Call a peer."""
        handle.connect_peer((address, self._port))

    def remove(self, handle: Any) -> None:
        """Leave a group; its files stay."""
        self._session.remove_torrent(handle)

    def close(self) -> None:
        """Stop listening."""
        self._session.pause()


def _only(addresses: List[str]) -> Any:
    """Let nobody in but the cluster's own."""
    rules = lt.ip_filter()
    rules.add_rule("0.0.0.0", "255.255.255.255", _NOBODY)
    rules.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", _NOBODY)
    for address in addresses:
        rules.add_rule(address, address, _OPEN)
    return rules


def _all_limited(session: Any) -> Any:
    """Put every peer into the class that the rate limits hold for: those of a local network have one without."""
    rules = lt.ip_filter()
    limited = 1 << session.global_peer_class_id
    rules.add_rule("0.0.0.0", "255.255.255.255", limited)
    rules.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", limited)
    return rules
