#!/bin/sh
exec test -d /opt/bench/data
