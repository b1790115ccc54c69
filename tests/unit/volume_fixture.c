/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/volume.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

enum { SIZE_MIB = 512 };

static int mount_volume(struct volume_fixture *fixture, void **state)
{
    fixture->volume = volume_mount(fixture->kind, SIZE_MIB);
    if (volume_kind(fixture->kind))
        fixture->kind = volume_kind(fixture->kind);
    fixture->volume_fd = fixture->volume ? fd_open_dir(AT_FDCWD, fixture->volume) : -1;
    *state = fixture;
    return 0;
}

/* A group's set-up gets nothing but state, hence one function for each kind. */
#define SET_UP(name)                                                                               \
    int volume_fixture_##name(void **state)                                                        \
    {                                                                                              \
        static struct volume_fixture fixture = {.kind = #name};                                    \
        return mount_volume(&fixture, state);                                                      \
    }

SET_UP(xfs)
SET_UP(btrfs)
SET_UP(ext4)
SET_UP(tmpfs)
SET_UP(fold)

int volume_fixture_unmount(void **state)
{
    struct volume_fixture *fixture = *state;
    fd_close(&fixture->volume_fd);
    volume_unmount(fixture->volume);
    return 0;
}

int volume_fixture_set_up(void **state)
{
    struct volume_fixture *fixture = *state;
    if (!fixture->volume)
        return 0;
    fixture->fd = fd_make_dir(fixture->volume_fd, "test", 0755, NULL);
    fixture->path = mem_printf("%s/test", fixture->volume);
    return fixture->fd < 0;
}

int volume_fixture_tear_down(void **state)
{
    struct volume_fixture *fixture = *state;
    struct error error = {0};
    if (!fixture->volume)
        return 0;
    fd_close(&fixture->fd);
    mem_free(&fixture->path);
    int code = tree_remove(fixture->volume_fd, "test", NULL, &error);
    if (code != 0)
        print_error("%s\n", error.message);
    return code;
}

const struct volume_fixture *volume_fixture(void **state)
{
    const struct volume_fixture *fixture = *state;
    if (!fixture->volume)
        skip();
    return fixture;
}

const struct volume_fixture *volume_fixture_with(void **state, enum volume_feature feature)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    if (!volume_has(fixture->kind, feature))
        skip();
    return fixture;
}
