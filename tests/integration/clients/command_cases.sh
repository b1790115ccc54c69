# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What docker and nerdctl have in common: the same commands, given to CLI, a function or program with its options.
# shellcheck disable=SC2016,SC2034,SC2153,SC2154  # the names in capitals come from run and from the images' .env files

CLI=

# cli_run ARGS...: a container without a network
cli_run() { $CLI run --rm --network none "$@"; }

cli_load() {
    contains "load" "$($CLI load -i "$IMAGES/linux.tar" 2>&1)" "$LINUX_REF"
    contains "images" "$($CLI images --format '{{.Repository}}:{{.Tag}}')" "$LINUX_REF"
}

cli_runs() {
    local out
    equal "output" "$(cli_run "$LINUX_REF")" "$HELLO"
    out=$(cli_run "$LINUX_REF" /bin/sh -c \
        'test -e /etc/obsolete && echo whiteout lost; stat -c %h /bin/sh; echo w >/tmp/x && cat /tmp/x')
    equal "output" "$out" $'7\nw'
    if cli_run "$LINUX_REF" /bin/sh -c 'exit 7'; then fail "exit status of the container lost"; fi
}

# A container that changed things, its difference in words, a commit, a container of that.
cli_commit() {
    local out
    $CLI run --network none --name writer "$LINUX_REF" /bin/sh -c "$WRITES"
    calls_mark
    $CLI commit writer clonefs.test/committed:1 >/dev/null
    ! ours || equal "calls of Diff" "$(calls clonefs Diff/Diff 0)" 1
    out=$(cli_run clonefs.test/committed:1 /bin/sh -c \
        'cat /root/note; tail -n 1 /etc/passwd; test -e /etc/group || echo no group; stat -c %a /srv/a; stat -c %h /srv/note')
    equal "output" "$out" $'written\nedited\nno group\n4700\n2'
    $CLI rm writer >/dev/null
    equal "output" "$(cli_run "$LINUX_REF" /bin/sh -c 'test -e /root/note || echo clean')" clean
}

# A push to the registry on loopback; gone here; a pull.
cli_push_and_pull() {
    $CLI tag clonefs.test/committed:1 "$REGISTRY/committed-$1:1"
    $CLI push "$REGISTRY/committed-$1:1" >/dev/null
    $CLI rmi clonefs.test/committed:1 "$REGISTRY/committed-$1:1" >/dev/null
    $CLI pull "$REGISTRY/committed-$1:1" >/dev/null
    equal "output" "$(cli_run "$REGISTRY/committed-$1:1" /bin/cat /root/note)" written
}

cli_save_and_load() {
    $CLI save -o "$WORK/saved.tar" "$REGISTRY/committed-$1:1"
    $CLI rmi "$REGISTRY/committed-$1:1" >/dev/null
    if cli_run --pull never "$REGISTRY/committed-$1:1" /bin/true 2>/dev/null; then fail "a removed image runs"; fi
    $CLI load -i "$WORK/saved.tar" >/dev/null
    equal "output" "$(cli_run "$REGISTRY/committed-$1:1" /bin/cat /root/note)" written
    rm "$WORK/saved.tar"
}

# build_context DIR: RUN, COPY and ADD of files, folders and an archive, COPY from another stage, a removed file.
build_context() {
    rm -rf "$1"
    mkdir -p "$1/folder/below" "$1/archive/inner"
    echo file >"$1/file"
    echo changing >"$1/changing"
    echo below >"$1/folder/below/file"
    ln -s below/file "$1/folder/link"
    chmod 750 "$1/folder/below/file"
    head -c 3M /dev/urandom >"$1/folder/big"
    echo inner >"$1/archive/inner/file"
    ln "$1/archive/inner/file" "$1/archive/inner/hard"
    tar -C "$1/archive" -czf "$1/archive.tar.gz" .
    rm -r "$1/archive"
    cat >"$1/Dockerfile" <<DOCKERFILE
FROM $2 AS stage
RUN mkdir -p /made/deep && echo made >/made/deep/file && ln /made/deep/file /made/hard && chmod 4755 /made/hard
COPY folder /copied
FROM $2
RUN echo first >/first && rm /etc/group && echo more >>/etc/passwd
COPY file /file
COPY --chown=1000:1000 folder /folder
ADD archive.tar.gz /added
ADD file folder/below/file /two/
COPY --from=stage /made /from
COPY --from=stage /copied/below /from-copied
COPY changing /changing
RUN cat /changing /file >/last && rm -r /folder/below && echo x >/added/inner/file
CMD ["/bin/cat", "/last"]
DOCKERFILE
}
# What a container of that build sees
BUILT_LOOK='cat /first /last /added/inner/file /added/inner/hard /two/file /from/deep/file /from-copied/file
    test -e /etc/group || echo no group
    test -e /folder/below || echo no below
    stat -c "%a %u %h" /folder/link /from/hard /added/inner/file; tail -n 1 /etc/passwd; sha256sum /folder/big | cut -c1-64'
# built_right OUTPUT DIR
built_right() {
    equal "what was built" "$1" "first
changing
file
x
x
below
made
below
no group
no below
777 1000 1
4755 0 2
644 0 2
more
$(sha256sum "$2/folder/big" | cut -c1-64)"
}
