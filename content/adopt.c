/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/lane.h"
#include "base/mem.h"
#include "content/internal.h"
#include "tree/tree.h"

/* Files that are read and flushed at a time: their records share commits. */
#define THREADS 4

/* A line of progress after so many files or bytes. */
#define PROGRESS_FILES 1000
#define PROGRESS_BYTES ((uint64_t) 1 << 30)

struct adopting {
    struct content *content;
    content_adopt_report *report;
    void *context;
    struct lane *lane;
    struct cancel cancel; /* something failed that is not about one file */
    pthread_mutex_t lock;
    struct content_adoption done; /* under lock, like all below */
    uint64_t bytes_reported;
    struct error error; /* the first one */
};

/* One file that bears the name of a blob. */
struct candidate {
    struct lane_job job;
    struct adopting *adopting;
    int dirfd; /* of its folder */
    int fd;    /* itself, once it is open */
    uint64_t size;
    bool linkable; /* nobody else can write to it, and we need not change it */
    struct digest digest;
};

static void note_adopted(struct adopting *adopting, uint64_t size)
{
    char line[128];
    struct content_adoption *done = &adopting->done;
    (void) pthread_mutex_lock(&adopting->lock);
    done->adopted++;
    done->bytes += size;
    if (done->adopted % PROGRESS_FILES == 0 ||
        done->bytes - adopting->bytes_reported >= PROGRESS_BYTES) {
        (void) snprintf(line, sizeof line, "%llu blobs, %llu MiB",
                        (unsigned long long) done->adopted,
                        (unsigned long long) (done->bytes >> 20));
        adopting->report(adopting->context, line);
        adopting->bytes_reported = done->bytes;
    }
    (void) pthread_mutex_unlock(&adopting->lock);
}

static void note_left(struct adopting *adopting, uint64_t *counter, const char *name,
                      const char *reason)
{
    owned(mem_free) char *line = mem_printf("%s: %s", name, reason);
    for (char *c = line; *c; c++)
        if ((unsigned char) *c < 0x20 || *c == 0x7f)
            *c = '?';
    (void) pthread_mutex_lock(&adopting->lock);
    (*counter)++;
    adopting->report(adopting->context, line);
    (void) pthread_mutex_unlock(&adopting->lock);
}

static void note_present(struct adopting *adopting)
{
    (void) pthread_mutex_lock(&adopting->lock);
    adopting->done.present++;
    (void) pthread_mutex_unlock(&adopting->lock);
}

static void note_failure(struct adopting *adopting, const struct error *error)
{
    (void) pthread_mutex_lock(&adopting->lock);
    if (!cancel_requested(&adopting->cancel))
        adopting->error = *error;
    cancel_request(&adopting->cancel);
    (void) pthread_mutex_unlock(&adopting->lock);
}

/* Makes the file name in dirfd have the candidate's data and returns it open. */
static int make_file(const struct candidate *candidate, const char *hex, int dirfd,
                     const char *name, struct error *error)
{
    owned(fd_close) int fd = -1;
    int shared = tree_share_file(candidate->fd, dirfd, name, &fd, error);
    if (shared < 0)
        return shared;
    if (shared > 0)
        return fd_take(&fd);
    if (candidate->linkable && linkat(candidate->dirfd, hex, dirfd, name, 0) == 0) {
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        return fd >= 0 ? fd_take(&fd) : error_errno(error, "cannot open a hard link");
    }
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "cannot make a file");
    int rc =
        tree_copy_file(candidate->fd, fd, candidate->size, &candidate->adopting->cancel, error);
    return rc == 0 ? fd_take(&fd) : rc;
}

static int publish(const struct candidate *candidate, int fd, const char *name, uint64_t id,
                   struct error *error)
{
    struct content *content = candidate->adopting->content;
    struct blob_record record = {.digest = candidate->digest, .size = candidate->size};
    owned(digester_clear) struct digester *digester = digester_new(candidate->digest.algorithm);
    struct digest found;
    int rc = content_digest_file(fd, 0, candidate->size, digester, NULL,
                                 &candidate->adopting->cancel, error);
    if (rc != 0)
        return rc;
    digester_read(digester, &found);
    if (!digest_equal(&found, &candidate->digest))
        return error_set(error, ERROR_CORRUPT, "its bytes do not match its name: left out");
    rc = blob_flush(fd, error);
    return rc == 0 ? blob_publish(content, content->root->ingest_fd, name, fd, &record, id, error)
                   : rc;
}

static int adopt(const struct candidate *candidate, const char *hex, struct error *error)
{
    struct content *content = candidate->adopting->content;
    char name[ID_NAME_SIZE];
    uint64_t id = 0;
    int present = content_has(content, &candidate->digest, error);
    if (present != 0)
        return present < 0 ? present : error_set(error, ERROR_EXISTS, "is here already");
    int rc = store_new_id(content->store, &id, error);
    if (rc != 0)
        return rc;
    id_name(id, name);
    owned(fd_close) int fd = make_file(candidate, hex, content->root->ingest_fd, name, error);
    rc = fd < 0 ? fd : publish(candidate, fd, name, id, error);
    if (rc != 0)
        (void) unlinkat(content->root->ingest_fd, name, 0);
    return rc;
}

/* Opens the file if it is a regular one. */
static bool open_candidate(struct candidate *candidate, const char *name)
{
    struct stat found;
    candidate->fd = openat(candidate->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (candidate->fd < 0 || fstat(candidate->fd, &found) != 0 || !S_ISREG(found.st_mode))
        return false;
    candidate->size = (uint64_t) found.st_size;
    candidate->linkable = (found.st_mode & 0222) == 0 && found.st_uid == geteuid();
    return true;
}

static void note_outcome(struct candidate *candidate, const char *name, int rc, struct error *error)
{
    struct adopting *adopting = candidate->adopting;
    if (rc == 0)
        note_adopted(adopting, candidate->size);
    else if (rc == ERROR_EXISTS)
        note_present(adopting);
    else if (rc == ERROR_CORRUPT || rc == ERROR_PRECONDITION)
        note_left(adopting, &adopting->done.wrong, name, error->message);
    else if (rc != ERROR_CANCELLED) {
        (void) error_wrap(error, "%s", name);
        note_failure(adopting, error);
    }
}

static void run_candidate(struct lane_job *job)
{
    struct candidate *candidate = (struct candidate *) job; /* its first member */
    struct adopting *adopting = candidate->adopting;
    struct blob_name name;
    struct error error = {0};
    blob_name_make(&name, &candidate->digest);
    bool stopped = cancel_requested(&adopting->cancel);
    if (!stopped && open_candidate(candidate, name.hex))
        note_outcome(candidate, name.text, adopt(candidate, name.hex, &error), &error);
    else if (!stopped)
        note_left(adopting, &adopting->done.skipped, name.text, "is no regular file: skipped");
    fd_close(&candidate->fd);
    mem_free(&candidate);
}

static void consider(struct adopting *adopting, enum digest_algorithm algorithm, int dirfd,
                     const char *name)
{
    struct digest digest;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (!digest_from_hex(algorithm, name, &digest)) {
        note_left(adopting, &adopting->done.skipped, name, "is not the name of a blob: skipped");
        return;
    }
    struct candidate *candidate = mem_alloc(sizeof *candidate);
    *candidate = (struct candidate){
        .job.run = run_candidate, .adopting = adopting, .dirfd = dirfd, .fd = -1, .digest = digest};
    lane_put(adopting->lane, &candidate->job);
}

/* All of one folder. One that is not there has nothing. */
static int adopt_folder(struct adopting *adopting, int blobs_fd, enum digest_algorithm algorithm,
                        struct error *error)
{
    const struct lane_options options = {.name = "adopt", .threads = THREADS};
    owned(fd_close) int fd = fd_open_dir(blobs_fd, digest_algorithm_name(algorithm));
    if (fd < 0 && errno == ENOENT)
        return 0;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return error_errno(error, "cannot read the folder of %s blobs",
                           digest_algorithm_name(algorithm));
    (void) fd_take(&fd);
    int rc = lane_new(&options, &adopting->lane, error);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir));)
        consider(adopting, algorithm, dirfd(dir), entry->d_name);
    lane_free(adopting->lane);
    adopting->lane = NULL;
    (void) closedir(dir);
    if (rc == 0 && adopting->error.code != 0) {
        *error = adopting->error;
        rc = error->code;
    }
    return rc;
}

/* What else is in the folder of folders. */
static void note_others(struct adopting *adopting, int blobs_fd)
{
    int fd = fd_open_dir(blobs_fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        fd_close(&fd);
        return;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; (entry = readdir(dir));) {
        bool known = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (int i = DIGEST_SHA256; i <= DIGEST_SHA512; i++)
            known = known ||
                    strcmp(entry->d_name, digest_algorithm_name((enum digest_algorithm) i)) == 0;
        if (!known)
            note_left(adopting, &adopting->done.skipped, entry->d_name,
                      "is no folder of blobs: skipped");
    }
    (void) closedir(dir);
}

static int open_blobs(const char *dir, struct error *error)
{
    owned(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "cannot open %s", dir);
    int blobs_fd = fd_open_dir(fd, "blobs");
    if (blobs_fd < 0)
        return error_set(error, ERROR_PRECONDITION,
                         "%s has no folder blobs: give containerd's content store, which is the "
                         "folder io.containerd.content.v1.content of its root",
                         dir);
    return blobs_fd;
}

int content_adopt(struct content *content, const char *dir, content_adopt_report *report,
                  void *context, struct content_adoption *out_adoption, struct error *error)
{
    struct adopting adopting = {.content = content, .report = report, .context = context};
    owned(fd_close) int blobs_fd = open_blobs(dir, error);
    if (blobs_fd < 0)
        return blobs_fd;
    (void) pthread_mutex_init(&adopting.lock, NULL);
    int rc = 0;
    for (int i = DIGEST_SHA256; rc == 0 && i <= DIGEST_SHA512; i++)
        rc = adopt_folder(&adopting, blobs_fd, (enum digest_algorithm) i, error);
    note_others(&adopting, blobs_fd);
    (void) pthread_mutex_destroy(&adopting.lock);
    *out_adoption = adopting.done;
    return rc;
}
