#!/bin/sh
exec "${SENDMAIL%/*}/qmail-queue"
