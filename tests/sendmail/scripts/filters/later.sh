#!/bin/sh
exit 71
