/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Archives made by hand, header by header, so that they can also be wrong. All functions append to
 * the builder; start with a zeroed one, free it with layer_tar_clear.
 */
struct layer_tar {
    char *data;
    size_t length;
    size_t capacity;
    char *pax; /* records for the next entry */
    size_t pax_length;
    /* Of the entries that follow. */
    unsigned uid;
    unsigned gid;
    int64_t mtime; /* 1000000 if 0 */
};

void layer_tar_clear(struct layer_tar *tar);

void layer_tar_file(struct layer_tar *tar, const char *name, unsigned mode, const char *content);
void layer_tar_dir(struct layer_tar *tar, const char *name, unsigned mode);
void layer_tar_symlink(struct layer_tar *tar, const char *name, const char *target);
void layer_tar_link(struct layer_tar *tar, const char *name, const char *target);
void layer_tar_device(struct layer_tar *tar, char type, const char *name, unsigned major,
                      unsigned minor);

/* A header of any type, and the data. size is what the header says. Names longer than 100 bytes go
 * into a pax record. */
void layer_tar_entry(struct layer_tar *tar, char type, const char *name, unsigned mode,
                     const char *target, uint64_t size);
void layer_tar_data(struct layer_tar *tar, const void *data, size_t size);

/* A record of the pax header of the next entry. */
void layer_tar_pax(struct layer_tar *tar, const char *key, const void *value, size_t size);
void layer_tar_pax_text(struct layer_tar *tar, const char *key, const char *value);

/* A special entry with a body, as 'L', 'K', 'x' and 'g' are. */
void layer_tar_special(struct layer_tar *tar, char type, const void *body, size_t size);

/* Bytes as they are. */
void layer_tar_raw(struct layer_tar *tar, const void *data, size_t size);

/* Computes the checksum of the header at offset again. */
void layer_tar_fix(struct layer_tar *tar, size_t offset);

/* Two blocks of zeros. */
void layer_tar_end(struct layer_tar *tar);
