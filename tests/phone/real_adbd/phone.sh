#!/bin/sh
# The first process of the phone, in namespaces of its own: phone.sh ROOT. As Android's init it starts adbd again.
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
chroot "$1" /usr/bin/toybox ifconfig lo up
while true; do
    chroot "$1" /usr/bin/toybox env -i PATH=/system/bin ADBD_PORT=5555 SHELL=/system/bin/sh HOME=/data/local/tmp \
        LD_PRELOAD=/usr/lib/no_vsock.so /usr/lib/android-sdk/platform-tools/adbd || true
    sleep 0.2
done
