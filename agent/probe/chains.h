/* The certificates of a link, each on a line with subject, issuer of the top one, and days left;
 * with a mark "(!)" when these are fewer than REPORT_SOON_DAYS, or it is not yet valid. */
#pragma once

#include "probe/page.h"
#include "probe/report.h"

/* What the backend presented, with the leaf's names. */
void chains_print_backend(const struct page *page, const struct evidence *evidence);

/* The CAs that we hold. */
void chains_print_trust(const struct page *page, const struct report_service *service);

/* What we present. */
void chains_print_ours(const struct page *page, const struct report_service *service);

/* Whose certificates the backend accepts, and who issued ours when that is somebody else and the
 * verdict has not told it. Nothing when the backend never asked for one. */
void chains_print_accepted(const struct page *page, const struct report_service *service,
                           const struct evidence *evidence);
