/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/clone.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/tree.h"

enum { CHUNK_BYTES = 8 << 20, BUFFER_BYTES = 256 << 10 };

struct copy {
    int source_fd;
    int target_fd;
    bool kernel_refused; /* os_copy_range does not work between these two */
    char *buffer;        /* made when first needed */
};

/* Copies at most size bytes at offset. Returns how many, 0 at the end of the source, -1 and errno.
 */
static ssize_t copy_by_buffer(struct copy *copy, off_t offset, size_t size)
{
    if (!copy->buffer)
        copy->buffer = mem_alloc(BUFFER_BYTES);
    ssize_t got =
        pread(copy->source_fd, copy->buffer, size < BUFFER_BYTES ? size : BUFFER_BYTES, offset);
    for (ssize_t done = 0; done < got;) {
        ssize_t put =
            pwrite(copy->target_fd, copy->buffer + done, (size_t) (got - done), offset + done);
        if (put < 0 && errno != EINTR)
            return -1;
        done += put > 0 ? put : 0;
    }
    return got;
}

static ssize_t copy_chunk(struct copy *copy, off_t offset, size_t size)
{
    if (!copy->kernel_refused) {
        ssize_t copied = os_copy_range(copy->source_fd, copy->target_fd, offset, size);
        if (copied >= 0 || errno == EINTR)
            return copied;
        if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
            return -1;
        copy->kernel_refused = true;
    }
    return copy_by_buffer(copy, offset, size);
}

static int copy_segment(struct copy *copy, off_t start, off_t end, const struct cancel *cancel,
                        atomic_ullong *copied_bytes, struct error *error)
{
    while (start < end) {
        if (cancel_requested(cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        size_t rest = (size_t) (end - start);
        ssize_t copied = copy_chunk(copy, start, rest < CHUNK_BYTES ? rest : CHUNK_BYTES);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0)
            return error_errno(error, "cannot copy the data");
        if (copied == 0)
            return error_set(error, ERROR_PRECONDITION, "changed while the tree was being read");
        start += copied;
        atomic_fetch_add(copied_bytes, (unsigned long long) copied);
    }
    return 0;
}

static int copy_segments(struct copy *copy, off_t size, const struct cancel *cancel,
                         atomic_ullong *copied_bytes, struct error *error)
{
    for (off_t hole = 0; hole < size;) {
        off_t data = lseek(copy->source_fd, hole, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        hole = data < 0 ? -1 : lseek(copy->source_fd, data, SEEK_HOLE);
        if (hole < 0)
            return error_errno(error, "cannot find the holes");
        int code = copy_segment(copy, data, hole < size ? hole : size, cancel, copied_bytes, error);
        if (code != 0)
            return code;
    }
    return 0;
}

int clone_copy(int source_fd, int target_fd, uint64_t size, const struct cancel *cancel,
               atomic_ullong *copied_bytes, struct error *error)
{
    struct copy copy = {.source_fd = source_fd, .target_fd = target_fd};
    int code = copy_segments(&copy, (off_t) size, cancel, copied_bytes, error);
    mem_free(&copy.buffer);
    if (code == 0 && ftruncate(target_fd, (off_t) size) != 0)
        code = error_errno(error, "cannot set the size");
    return code;
}

int tree_copy_file(int src_fd, int dst_fd, uint64_t size, const struct cancel *cancel,
                   struct error *error)
{
    atomic_ullong copied = 0;
    return clone_copy(src_fd, dst_fd, size, cancel, &copied, error);
}
