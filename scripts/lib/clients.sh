# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Newer clients of containerd than the machine has, unpacked or built in a folder and not installed. Needs common.sh.
# Nothing here fails for want of a network: a function that cannot get something says why and returns 1.

# clients_begin DIR: where they are kept. What is there already is not fetched again; remove DIR to get newer ones.
CLIENTS=
CLIENTS_APT=
clients_begin() {
    CLIENTS=$1
    CLIENTS_APT=$CLIENTS/apt
    mkdir -p "$CLIENTS"
}

# ---- Debian's newer suites -----------------------------------------------------------------------------

# clients_mirror: the address from which this machine has its own Debian.
clients_mirror() {
    local codename
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt's own variables
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v codename="$codename" '$1 == codename && !found { print $2; found = 1 }'
}

# clients_apt SUITE...: a private apt: its sources are SUITE, signed by Debian's keys; it knows nothing of what is
# installed here, and changes nothing outside CLIENTS.
clients_apt() {
    local mirror suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if ! have apt-get || ! have dpkg-deb; then
        say "this is not Debian"
        return 1
    fi
    [ -r "$keyring" ] || { say "there is no $keyring (package debian-archive-keyring)"; return 1; }
    mirror=$(clients_mirror)
    [ -n "$mirror" ] || { say "apt's own sources name no mirror of Debian"; return 1; }
    rm -rf "$CLIENTS_APT"
    mkdir -p "$CLIENTS_APT"/{state/lists/partial,cache/archives/partial,etc/{apt.conf.d,preferences.d,trusted.gpg.d}}
    : >"$CLIENTS_APT/state/status"
    for suite; do
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
    done >"$CLIENTS_APT/etc/sources.list"
    # A mirror may be some weeks behind; what it has is signed all the same.
    cat >"$CLIENTS_APT/apt.conf" <<CONFIG
Dir "$CLIENTS_APT";
Dir::State "state";
Dir::State::status "state/status";
Dir::Cache "cache";
Dir::Etc "etc";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
CONFIG
    APT_CONFIG=$CLIENTS_APT/apt.conf timeout 300 apt-get update -q -o APT::Update::Error-Mode=any >"$CLIENTS/apt.log" 2>&1 || {
        say "Debian's packages cannot be reached: $(grep -m 1 '^E: ' "$CLIENTS/apt.log" | cut -c1-200)"
        return 1
    }
}

# clients_unpack SET SUITE PACKAGE...: the newest of that suite, in CLIENTS/SET. Needs clients_apt.
clients_unpack() {
    local set=$1 suite=$2 package version file folder=$CLIENTS/$1
    shift 2
    rm -rf "$folder" "$CLIENTS/$set.list"
    mkdir -p "$folder" "$CLIENTS_APT/debs"
    for package; do
        version=$(APT_CONFIG=$CLIENTS_APT/apt.conf apt-cache madison "$package" |
            awk -F ' *[|] *' -v suite="$suite/" 'index($3, " " suite) && !found { print $2; found = 1 }')
        [ -n "$version" ] || { say "Debian $suite has no package $package"; return 1; }
        (cd "$CLIENTS_APT/debs" && APT_CONFIG=$CLIENTS_APT/apt.conf timeout 300 apt-get download -q "$package=$version") \
            >"$CLIENTS/apt.log" 2>&1 || {
            say "$package $version cannot be downloaded: $(grep -m 1 '^E: ' "$CLIENTS/apt.log" | cut -c1-200)"
            return 1
        }
        for file in "$CLIENTS_APT/debs/$package"_*.deb; do
            dpkg-deb --extract "$file" "$folder"
            rm "$file"
        done
        printf '%s %s\n' "$package" "$version" >>"$CLIENTS/$set.part"
    done
    mv "$CLIENTS/$set.part" "$CLIENTS/$set.list"
}

# clients_packages SET SUITE PACKAGE... [-- SET SUITE PACKAGE...]...: all sets; 1 and a reason if one is missing.
clients_packages() {
    local sets=() suites=() set suite words wanted=() i
    while [ $# -gt 0 ]; do
        set=$1 suite=$2 words=()
        shift 2
        while [ $# -gt 0 ] && [ "$1" != -- ]; do
            words+=("$1")
            shift
        done
        [ $# -eq 0 ] || shift
        [ "$(awk '{ print $1 }' "$CLIENTS/$set.list" 2>/dev/null | paste -sd ' ')" != "${words[*]}" ] || continue
        sets+=("$set $suite ${words[*]}")
        suites+=("$suite")
    done
    [ ${#sets[@]} -gt 0 ] || return 0
    mapfile -t suites < <(printf '%s\n' "${suites[@]}" | sort -u)
    clients_apt "${suites[@]}" || return 1
    for ((i = 0; i < ${#sets[@]}; i++)); do
        read -ra wanted <<<"${sets[i]}"
        clients_unpack "${wanted[@]}" || return 1
    done
    rm -rf "$CLIENTS_APT"
}

# clients_lack_libraries PROGRAM...: what the loader does not find of theirs.
clients_lack_libraries() { ldd "$@" 2>/dev/null | awk '/not found/ { print $1 }' | sort -u; }

# ---- Go modules -------------------------------------------------------------------------------------------

# clients_go OLDEST: whether there is a go of at least that version, and a module proxy.
clients_go() {
    local version proxy
    have go || { say "there is no go (at least $1) on PATH"; return 1; }
    version=$(go env GOVERSION) && version=${version#go}
    printf '%s\n%s\n' "$1" "$version" | sort -CV || { say "go is $version, and $1 is needed"; return 1; }
    proxy=$(go env GOPROXY)
    case $proxy in off | direct | '') say "no Go module proxy is set up"; return 1 ;; esac
}

# clients_build NAME VERSION MODULE PACKAGE...: builds the programs of a module into CLIENTS/NAME.
clients_build() {
    local version=$2 module=$3 folder=$CLIENTS/$1 source=$CLIENTS/$1.go log=$CLIENTS/$1.log packages=() package
    shift 3
    [ "$(cat "$folder/version" 2>/dev/null)" != "$version" ] || return 0
    clients_go 1.24 || return 1
    for package; do packages+=("$module/$package"); done
    rm -rf "$folder" "$source"
    mkdir -p "$folder" "$source"
    printf 'module clients\n\ngo 1.24.0\n' >"$source/go.mod"
    (
        cd "$source"
        export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=mod
        timeout 300 go get "$module@$version" &&
            timeout 900 go build -p 2 -trimpath -ldflags '-s -w' -o "$folder/" "${packages[@]}"
    ) </dev/null >"$log" 2>&1 || {
        say "$module $version cannot be built: $(grep -m 1 -E 'Forbidden|Not Found|dial|refused|error|:' "$log" |
            sed 's|https\?://[^/ ]*/|.../|g' | cut -c1-200)"
        return 1
    }
    rm -rf "$source"
    echo "$version" >"$folder/version"
}
