#!/bin/sh
# Prepares one kernel inside a toolchain root.
#   prepare-kernel.sh debian|debug RELEASE DEB_VERSION IMAGE_PACKAGE SOURCE_PACKAGE
# Bound into the root: /stage (the result), /source (the result's source tree), /debs (downloads).
# Leaves in /stage: vmlinuz, source/, modules/ (uncompressed), make-variables.
set -eu
kind=$1 release=$2 version=$3 image=$4 source=$5

# Prints the file of a package at exactly our version, downloaded unless another kernel did already.
fetch() {
    file=/debs/${1}_${version}.deb
    if ! [ -e "$file" ]; then
        aside=$(mktemp -d /debs/fetch.XXXXXX)
        (cd "$aside" && apt-get download "$1=$version" >&2)
        mv "$aside/${1}"_*.deb "$file"
        rmdir "$aside"
    fi
    echo "$file"
}

unpack_source() {
    echo "unpacking $source $version"
    deb=$(fetch "$source")
    tarball=./usr/src/$source.tar.xz
    dpkg-deb --fsys-tarfile "$deb" | tar -xO "$tarball" | tar -xJ -C /source --strip-components=1
}

# Debian's kernels: rebuild just what out-of-tree Rust modules are compiled against.
prepare_debian() {
    headers=$(fetch "linux-headers-$release")
    dpkg-deb --fsys-tarfile "$headers" | tar -x -C /stage --strip-components=4 \
        "./usr/src/linux-headers-$release/.config" \
        "./usr/src/linux-headers-$release/Module.symvers" \
        "./usr/src/linux-headers-$release/.kernelvariables"
    # The compiler that Debian used, e.g. `CC = … $(CROSS_COMPILE)gcc-14`.
    gcc=$(sed -n 's/^CC = .*)\(gcc[^ ]*\)$/\1/p' /stage/.kernelvariables)
    printf '%s\n' "CC=x86_64-linux-gnu-$gcc" "KERNELRELEASE=$release" \
        "RUST_LIB_SRC=$(ls -d /usr/src/rustc-*/library)" > /stage/make-variables
    cp /stage/.config /stage/Module.symvers /source/
    # Split into words on purpose.
    # shellcheck disable=SC2046
    make -C /source -j"$(nproc)" $(cat /stage/make-variables) olddefconfig prepare modules_prepare
    cmp /stage/.config /source/.config || {
        echo "this toolchain changes Debian's configuration of $release:"
        diff /stage/.config /source/.config
        exit 1
    }
    check_rust_symbols
    # Unsigned images end in .unsigned.
    dpkg-deb --fsys-tarfile "$(fetch "$image")" | tar -xO --wildcards "./usr/lib/modules/$release/vmlinuz*" > /stage/vmlinuz
    test -s /stage/vmlinuz
    own_modules
    rm /stage/.config /stage/Module.symvers /stage/.kernelvariables
}

# Every Rust symbol that Debian's kernel exports must be exported by the rebuild: the names contain
# hashes of the crates that they come from, so agreement means that the metadata fits.
check_rust_symbols() {
    awk '$2 ~ /^_R/ { print $2 }' /stage/Module.symvers | sort -u > /stage/theirs
    cat /source/rust/exports_*_generated.h | grep -o '_R[A-Za-z0-9_]*' | sort -u > /stage/ours
    comm -23 /stage/theirs /stage/ours > /stage/missing
    if ! [ -s /stage/theirs ] || [ -s /stage/missing ]; then
        echo "the rebuilt Rust metadata does not fit $release; symbols of the kernel that the rebuild lacks:"
        head -n 10 /stage/missing
        exit 1
    fi
    echo "all $(wc -l < /stage/theirs) Rust symbols of $release are in the rebuild"
    rm /stage/theirs /stage/ours /stage/missing
}

# The kernel's own modules that the lab's guests need, with what they depend on.
own_modules() {
    mkdir -p /stage/all /stage/modules
    dpkg-deb --fsys-tarfile "$(fetch "linux-modules-$release")" | tar -x -C /stage/all
    depmod -b /stage/all/usr "$release"
    for module in virtio_blk erofs overlay zram; do
        modprobe -d /stage/all/usr -S "$release" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
        xz -dc "$file" > "/stage/modules/$(basename "$file" .xz)"
    done
    rm -r /stage/all
}

# The debug kernel is built whole.
prepare_debug() {
    printf '%s\n' CC=clang LD=ld.lld HOSTCC=gcc "KERNELRELEASE=$release" \
        "RUST_LIB_SRC=$(ls -d /usr/src/rustc-*/library)" > /stage/make-variables
    cd /source
    # shellcheck disable=SC2046
    make $(cat /stage/make-variables) KCONFIG_ALLCONFIG=/stage/debug.config allnoconfig
    grep '^CONFIG_.*=[^n]' /stage/debug.config | while read -r option; do
        grep -qxF "$option" .config || { echo "not to be had in this kernel: $option"; exit 1; }
    done
    # shellcheck disable=SC2046
    make -j"$(nproc)" $(cat /stage/make-variables) bzImage modules
    cp arch/x86/boot/bzImage /stage/vmlinuz
    mkdir -p /stage/modules
    rm /stage/debug.config
}

# What a killed run was downloading.
find /debs -maxdepth 1 -name 'fetch.*' -mmin +60 -exec rm -r {} +
unpack_source
"prepare_$kind"
rm /stage/prepare.sh
