/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/regs.h - numbers and layouts of the NVM Express Base Specification 1.4.
 *
 * Section numbers in comments of this model are those of revision 1.4. Entries in client
 * memory are little-endian; sqe_decode() and cqe_encode() convert at the edge.
 */
#ifndef NVME_REGS_H
#define NVME_REGS_H

#include <assert.h>
#include <endian.h>
#include <stdint.h>
#include <string.h>

/* ---- BAR 0 ---- */
#define NVME_BAR_SIZE     0x4000
#define NVME_DOORBELLS    0x1000	/* 3.1.24: SQ tail of queue y at + 8y, CQ head + 4 */
#define NVME_MSIX_TABLE   0x2000
#define NVME_MSIX_PBA     0x3000

/* ---- controller registers, 3.1 ---- */
#define REG_CAP    0x00
#define REG_VS     0x08
#define REG_INTMS  0x0c
#define REG_INTMC  0x10
#define REG_CC     0x14
#define REG_CSTS   0x1c
#define REG_NSSR   0x20
#define REG_AQA    0x24
#define REG_ASQ    0x28
#define REG_ACQ    0x30
#define REG_CMBLOC 0x38
#define REG_CMBSZ  0x3c
#define REG_NAMED  0x40			/* all beyond is reserved or absent: zero */

#define CAP_CQR        (1ull << 16)	/* queues are contiguous */
#define CAP_TO(x)      ((uint64_t)(x) << 24)	/* 500 ms units */
#define CAP_CSS_NVM    (1ull << 37)
#define CAP_MPSMAX(x)  ((uint64_t)(x) << 52)

#define NVME_VERSION   0x00010400

#define CC_EN          1u
#define CC_CSS(cc)     ((cc) >> 4 & 7)
#define CC_MPS(cc)     ((cc) >> 7 & 15)
#define CC_AMS(cc)     ((cc) >> 11 & 7)
#define CC_SHN(cc)     ((cc) >> 14 & 3)
#define CC_IOSQES(cc)  ((cc) >> 16 & 15)
#define CC_IOCQES(cc)  ((cc) >> 20 & 15)
#define CC_VALID       0x00fffff1u

#define CSTS_RDY       1u
#define CSTS_CFS       2u
#define CSTS_SHST_BUSY 4u
#define CSTS_SHST_DONE 8u

/* ---- queue entries, 4.2 and 4.6 ---- */
#define SQE_SHIFT 6
#define CQE_SHIFT 4

struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;			/* FUSE 1:0, PSDT 7:6 */
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t mptr;
	uint64_t dptr[2];		/* PRP1, PRP2 or one SGL descriptor */
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 1 << SQE_SHIFT, "4.2");

struct nvme_cqe {
	uint32_t result;
	uint32_t reserved;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status;		/* phase tag in bit 0 */
};
static_assert(sizeof(struct nvme_cqe) == 1 << CQE_SHIFT, "4.6");

struct nvme_sgl {			/* 4.4 */
	uint64_t addr;
	uint32_t len;
	uint8_t rsvd[3];
	uint8_t id;			/* type 7:4, sub type 3:0 */
};
static_assert(sizeof(struct nvme_sgl) == 16, "4.4");

#define SGL_DATA         0x00
#define SGL_BIT_BUCKET   0x10
#define SGL_SEGMENT      0x20
#define SGL_LAST_SEGMENT 0x30

struct nvme_dsm_range {			/* 6.7.1.1 */
	uint32_t attributes;
	uint32_t blocks;
	uint64_t slba;
};
static_assert(sizeof(struct nvme_dsm_range) == 16, "6.7.1.1");

static inline void sqe_decode(struct nvme_sqe *e)
{
	uint32_t *cdw = &e->cdw10;

	e->cid = le16toh(e->cid);
	e->nsid = le32toh(e->nsid);
	e->mptr = le64toh(e->mptr);
	e->dptr[0] = le64toh(e->dptr[0]);
	e->dptr[1] = le64toh(e->dptr[1]);
	for (int i = 0; i < 6; i++)
		cdw[i] = le32toh(cdw[i]);
}

/* ---- opcodes, 5 and 6 ---- */
enum {
	ADM_DELETE_SQ = 0x00, ADM_CREATE_SQ = 0x01, ADM_GET_LOG = 0x02,
	ADM_DELETE_CQ = 0x04, ADM_CREATE_CQ = 0x05, ADM_IDENTIFY = 0x06,
	ADM_ABORT = 0x08, ADM_SET_FEATURES = 0x09, ADM_GET_FEATURES = 0x0a,
	ADM_ASYNC_EVENT = 0x0c,
};
enum {
	IO_FLUSH = 0x00, IO_WRITE = 0x01, IO_READ = 0x02, IO_COMPARE = 0x05,
	IO_WRITE_ZEROES = 0x08, IO_DSM = 0x09,
};

/* ---- status, 4.6.1: code 7:0, type 10:8, more 13, do not retry 14 ---- */
#define ST_MORE 0x2000
#define ST_DNR  0x4000

enum {
	ST_OK = 0,
	ST_OPCODE = 0x01, ST_FIELD = 0x02, ST_DATA_TRANSFER = 0x04, ST_INTERNAL = 0x06,
	ST_ABORTED = 0x07, ST_SQ_DELETED = 0x08, ST_NAMESPACE = 0x0b,
	ST_SEQUENCE = 0x0c, ST_SGL_SEGMENT = 0x0d, ST_SGL_COUNT = 0x0e,
	ST_SGL_LENGTH = 0x0f, ST_SGL_TYPE = 0x11, ST_PRP_OFFSET = 0x13,
	ST_WRITE_PROTECTED = 0x20, ST_LBA_RANGE = 0x80, ST_CAPACITY = 0x81,
	/* command specific */
	ST_CQ_INVALID = 0x100, ST_QID = 0x101, ST_QSIZE = 0x102, ST_AER_LIMIT = 0x105,
	ST_VECTOR = 0x108, ST_LOG_PAGE = 0x109, ST_QUEUE_DELETION = 0x10c,
	ST_NOT_SAVEABLE = 0x10d, ST_NOT_CHANGEABLE = 0x10e, ST_NOT_NS_SPECIFIC = 0x10f,
	/* media */
	ST_WRITE_FAULT = 0x280, ST_READ_ERROR = 0x281, ST_COMPARE = 0x285,
};

/* ---- features, 5.21.1 ---- */
enum {
	FEAT_ARBITRATION = 0x01, FEAT_POWER = 0x02, FEAT_TEMPERATURE = 0x04,
	FEAT_ERROR_RECOVERY = 0x05, FEAT_WRITE_CACHE = 0x06, FEAT_QUEUES = 0x07,
	FEAT_COALESCING = 0x08, FEAT_VECTOR = 0x09, FEAT_ATOMICITY = 0x0a,
	FEAT_ASYNC_EVENT = 0x0b, FEAT_TIMESTAMP = 0x0e,
};

/* ---- log pages, 5.14.1 ---- */
enum {
	LOG_ERROR = 0x01, LOG_SMART = 0x02, LOG_FIRMWARE = 0x03, LOG_NS_CHANGED = 0x04,
	LOG_EFFECTS = 0x05,
};

/* ---- asynchronous events, 5.2.1 ---- */
enum { AE_ERROR = 0, AE_SMART = 1, AE_NOTICE = 2, AE_TYPES = 3 };
enum { AE_ERROR_DB_REGISTER = 0, AE_ERROR_DB_VALUE = 1 };
enum { AE_SMART_RELIABILITY = 0, AE_SMART_TEMPERATURE = 1 };

/* Stores to byte offsets of pages that are described by tables. */
static inline void put16(uint8_t *p, unsigned off, uint16_t v)
{
	v = htole16(v);
	memcpy(p + off, &v, sizeof(v));
}

static inline void put32(uint8_t *p, unsigned off, uint32_t v)
{
	v = htole32(v);
	memcpy(p + off, &v, sizeof(v));
}

static inline void put64(uint8_t *p, unsigned off, uint64_t v)
{
	v = htole64(v);
	memcpy(p + off, &v, sizeof(v));
}

/* @s, padded with blanks to @len bytes, without a terminator. */
static inline void put_text(uint8_t *p, unsigned off, unsigned len, const char *s)
{
	size_t n = strlen(s);

	memset(p + off, ' ', len);
	memcpy(p + off, s, n < len ? n : len);
}

#endif
