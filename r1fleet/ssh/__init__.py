"""The transport over SSH, by Fabric."""
