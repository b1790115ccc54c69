/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fold_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/fold_nodes.h"

enum { WRITE_MAX = 64 << 10, BUFFER_BYTES = WRITE_MAX + 8192 };

/* What the kernel asks, and the answer in the making. */
struct request {
    const struct fuse_in_header *header;
    const void *body;
    struct fold_node *node; /* that the header names */
    char *out;
    size_t out_size;
};

static struct fuse_attr attributes_of(const struct fold_node *node)
{
    return (struct fuse_attr){
        .ino = node->id,
        .size = node->size,
        .blocks = (node->size + 511) / 512,
        .atime = (uint64_t) node->atime.tv_sec,
        .mtime = (uint64_t) node->mtime.tv_sec,
        .ctime = (uint64_t) node->ctime.tv_sec,
        .atimensec = (uint32_t) node->atime.tv_nsec,
        .mtimensec = (uint32_t) node->mtime.tv_nsec,
        .ctimensec = (uint32_t) node->ctime.tv_nsec,
        .mode = node->mode,
        .nlink = node->nlink,
        .uid = node->uid,
        .gid = node->gid,
        .rdev = node->rdev,
        .blksize = 4096,
    };
}

static void put(struct request *request, const void *data, size_t size)
{
    memcpy(request->out + request->out_size, data, size);
    request->out_size += size;
}

static int answer_entry(struct request *request, const struct fold_node *node)
{
    const struct fuse_entry_out out = {.nodeid = node->id, .attr = attributes_of(node)};
    put(request, &out, sizeof out);
    return 0;
}

static int answer_attributes(struct request *request)
{
    const struct fuse_attr_out out = {.attr = attributes_of(request->node)};
    put(request, &out, sizeof out);
    return 0;
}

static int answer_open(struct request *request)
{
    const struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
    put(request, &out, sizeof out);
    return 0;
}

static int set_attributes(struct request *request)
{
    const struct fuse_setattr_in *in = request->body;
    struct fold_node *node = request->node;
    if (in->valid & FATTR_MODE)
        node->mode = (node->mode & S_IFMT) | (in->mode & 07777);
    if (in->valid & FATTR_UID)
        node->uid = in->uid;
    if (in->valid & FATTR_GID)
        node->gid = in->gid;
    if (in->valid & FATTR_SIZE)
        fold_resize(node, (size_t) in->size);
    (void) clock_gettime(CLOCK_REALTIME, &node->ctime);
    if (in->valid & FATTR_ATIME)
        node->atime = in->valid & FATTR_ATIME_NOW
                          ? node->ctime
                          : (struct timespec){(time_t) in->atime, (long) in->atimensec};
    if (in->valid & FATTR_MTIME)
        node->mtime = in->valid & FATTR_MTIME_NOW
                          ? node->ctime
                          : (struct timespec){(time_t) in->mtime, (long) in->mtimensec};
    return answer_attributes(request);
}

/* Gives a new inode a name. */
static int make(struct request *request, const char *name, mode_t mode, uint32_t rdev)
{
    struct fold_node *node = fold_node_make(mode);
    node->uid = request->header->uid;
    node->gid = request->header->gid;
    node->rdev = rdev;
    int code = fold_add(request->node, name, node);
    return code == 0 ? answer_entry(request, node) : code;
}

static int make_symlink(struct request *request)
{
    const char *name = request->body;
    const char *target = name + strlen(name) + 1;
    int code = make(request, name, S_IFLNK | 0777, 0);
    if (code != 0)
        return code;
    struct fold_node *node = fold_find(request->node, name)->node;
    fold_resize(node, strlen(target));
    memcpy(node->data, target, strlen(target));
    return 0;
}

static int make_link(struct request *request)
{
    const struct fuse_link_in *in = request->body;
    struct fold_node *node = fold_node_get(in->oldnodeid);
    int code = fold_add(request->node, (const char *) (in + 1), node);
    return code == 0 ? answer_entry(request, node) : code;
}

static int rename_entry(struct request *request, uint64_t new_dir, const char *name)
{
    const char *new_name = name + strlen(name) + 1;
    struct fold_node *dir = fold_node_get(new_dir);
    struct fold_entry *entry = fold_find(request->node, name);
    if (!entry)
        return -ENOENT;
    struct fold_node *node = entry->node;
    struct fold_entry *replaced = fold_find(dir, new_name);
    int code = replaced ? fold_remove(dir, new_name) : 0;
    if (code == 0 && (!replaced || replaced != entry))
        code = fold_remove(request->node, name);
    return code == 0 ? fold_add(dir, new_name, node) : code;
}

static int look_up(struct request *request)
{
    const struct fold_entry *entry = fold_find(request->node, request->body);
    return entry ? answer_entry(request, entry->node) : -ENOENT;
}

static int create(struct request *request)
{
    const struct fuse_create_in *in = request->body;
    int code = make(request, (const char *) (in + 1), in->mode, 0);
    return code == 0 ? answer_open(request) : code;
}

static int read_data(struct request *request)
{
    const struct fuse_read_in *in = request->body;
    const struct fold_node *node = request->node;
    size_t left = in->offset < node->size ? node->size - (size_t) in->offset : 0;
    if (left > 0)
        put(request, node->data + in->offset, left < in->size ? left : in->size);
    return 0;
}

static int write_data(struct request *request)
{
    const struct fuse_write_in *in = request->body;
    const struct fuse_write_out out = {.size = in->size};
    struct fold_node *node = request->node;
    if (in->offset + in->size > node->size)
        fold_resize(node, (size_t) in->offset + in->size);
    memcpy(node->data + in->offset, in + 1, in->size);
    put(request, &out, sizeof out);
    return 0;
}

static int read_dir(struct request *request)
{
    const struct fuse_read_in *in = request->body;
    const struct fold_node *dir = request->node;
    for (size_t i = (size_t) in->offset; i < dir->entry_count; i++) {
        const struct fold_entry *entry = &dir->entries[i];
        struct fuse_dirent out = {.ino = entry->node->id,
                                  .off = i + 1,
                                  .namelen = (uint32_t) strlen(entry->name),
                                  .type = entry->node->mode >> 12};
        size_t used = FUSE_NAME_OFFSET + out.namelen;
        size_t size = FUSE_DIRENT_ALIGN(used);
        if (request->out_size + size > in->size)
            break;
        put(request, &out, FUSE_NAME_OFFSET);
        put(request, entry->name, out.namelen);
        put(request, (const char[8]){0}, size - used);
    }
    return 0;
}

static int start(struct request *request)
{
    const struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                      .minor = FUSE_KERNEL_MINOR_VERSION,
                                      .max_write = WRITE_MAX,
                                      .time_gran = 1};
    put(request, &out, sizeof out);
    return 0;
}

static int tell_space(struct request *request)
{
    const struct fuse_statfs_out out = {.st = {.blocks = 1 << 20,
                                               .bfree = 1 << 20,
                                               .bavail = 1 << 20,
                                               .bsize = 4096,
                                               .namelen = 255,
                                               .frsize = 4096}};
    put(request, &out, sizeof out);
    return 0;
}

static int serve_change(struct request *request)
{
    const void *body = request->body;
    const struct fuse_mknod_in *mknod_in = body;
    const struct fuse_mkdir_in *mkdir_in = body;
    const struct fuse_rename_in *rename_in = body;
    const struct fuse_rename2_in *rename2_in = body;
    switch (request->header->opcode) {
    case FUSE_SETATTR:
        return set_attributes(request);
    case FUSE_SYMLINK:
        return make_symlink(request);
    case FUSE_MKNOD:
        return make(request, (const char *) (mknod_in + 1), mknod_in->mode, mknod_in->rdev);
    case FUSE_MKDIR:
        return make(request, (const char *) (mkdir_in + 1), S_IFDIR | mkdir_in->mode, 0);
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        return fold_remove(request->node, body);
    case FUSE_RENAME:
        return rename_entry(request, rename_in->newdir, (const char *) (rename_in + 1));
    case FUSE_RENAME2:
        return rename_entry(request, rename2_in->newdir, (const char *) (rename2_in + 1));
    case FUSE_LINK:
        return make_link(request);
    case FUSE_CREATE:
        return create(request);
    case FUSE_WRITE:
        return write_data(request);
    default:
        return -ENOSYS;
    }
}

static int serve(struct request *request)
{
    switch (request->header->opcode) {
    case FUSE_INIT:
        return start(request);
    case FUSE_LOOKUP:
        return look_up(request);
    case FUSE_GETATTR:
        return answer_attributes(request);
    case FUSE_READLINK:
        put(request, request->node->data, request->node->size);
        return 0;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return answer_open(request);
    case FUSE_READ:
        return read_data(request);
    case FUSE_READDIR:
        return read_dir(request);
    case FUSE_STATFS:
        return tell_space(request);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        return 0;
    default:
        return serve_change(request);
    }
}

static void answer(int fd, struct request *request, int code)
{
    struct fuse_out_header header = {.unique = request->header->unique, .error = code};
    if (code != 0)
        request->out_size = 0;
    header.len = (uint32_t) (sizeof header + request->out_size);
    const struct iovec parts[] = {{&header, sizeof header}, {request->out, request->out_size}};
    (void) !writev(fd, parts, 2);
}

/* Until the volume is unmounted. */
static void serve_all(int fd)
{
    char *in = mem_alloc(BUFFER_BYTES);
    char *out = mem_alloc(BUFFER_BYTES + WRITE_MAX);
    (void) fold_node_make(S_IFDIR | 0755);
    for (;;) {
        ssize_t length = read(fd, in, BUFFER_BYTES - 1);
        if (length < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
            continue;
        if (length < (ssize_t) sizeof(struct fuse_in_header))
            break;
        in[length] = '\0';
        const struct fuse_in_header *header = (const void *) in;
        struct request request = {.header = header,
                                  .body = header + 1,
                                  .node = fold_node_get(header->nodeid),
                                  .out = out};
        if (header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET ||
            header->opcode == FUSE_INTERRUPT)
            continue;
        answer(fd, &request, serve(&request));
    }
    mem_free(&in);
    mem_free(&out);
}

const char *fold_volume_mount(const char *path)
{
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return "no FUSE";
    (void) snprintf(options, sizeof options,
                    "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions",
                    fd);
    bool mounted = mount("fold", path, "fuse", MS_NODEV, options) == 0;
    pid_t child = mounted ? fork() : -1;
    if (child == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve_all(fd);
        _exit(0);
    }
    if (mounted && child < 0)
        (void) umount2(path, MNT_DETACH);
    (void) close(fd);
    return child < 0 ? "FUSE does not work here" : NULL;
}
