################################################################################
#
# ironwake
#
################################################################################

# The tree that this folder is in: nothing is downloaded, so there is no hash.
IRONWAKE_SITE = $(realpath $(BR2_EXTERNAL_IRONWAKE_PATH)/..)
IRONWAKE_SITE_METHOD = local
IRONWAKE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(IRONWAKE_SITE)/Cargo.toml)
IRONWAKE_LICENSE = MIT or Apache-2.0
IRONWAKE_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
IRONWAKE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/target --exclude=/fuzz/target

IRONWAKE_VENDOR = $(realpath $(call qstrip,$(BR2_PACKAGE_IRONWAKE_VENDOR)))
IRONWAKE_AGENT = $(realpath $(call qstrip,$(BR2_PACKAGE_IRONWAKE_AGENT)))
IRONWAKE_BOOT_FILES = $(realpath $(call qstrip,$(BR2_PACKAGE_IRONWAKE_BOOT_FILES)))

# What machines get is of their architecture, not of this board's.
IRONWAKE_BIN_ARCH_EXCLUDE = /usr/lib/ironwake

IRONWAKE_CARGO_BUILD_OPTS = \
	--config 'source.crates-io.replace-with="vendored"' \
	--config 'source.vendored.directory="$(IRONWAKE_VENDOR)"' \
	--package ironwake --bin ironwake \
	--package ironwake-tui --bin ironwake-console

# Folder of what cargo built.
IRONWAKE_BUILT = $(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)

# Said before an hour of building, not after it.
define IRONWAKE_CHECK_INPUTS
	@test -f "$(IRONWAKE_VENDOR)/zstd-sys/Cargo.toml" || { \
		echo "ironwake: no vendored crates in $(call qstrip,$(BR2_PACKAGE_IRONWAKE_VENDOR)): run ./dev vendor" >&2; exit 1; }
	@test -f "$(IRONWAKE_AGENT)" || { \
		echo "ironwake: no agent at $(call qstrip,$(BR2_PACKAGE_IRONWAKE_AGENT)): run ./dev build" >&2; exit 1; }
	@test -f "$(IRONWAKE_BOOT_FILES)/manifest.json" || { \
		echo "ironwake: no boot files in $(call qstrip,$(BR2_PACKAGE_IRONWAKE_BOOT_FILES)): run ./dev setup" >&2; exit 1; }
endef
IRONWAKE_PRE_CONFIGURE_HOOKS += IRONWAKE_CHECK_INPUTS

define IRONWAKE_INSTALL_PROGRAMS
	$(INSTALL) -D -m 755 $(IRONWAKE_BUILT)/ironwake $(TARGET_DIR)/usr/bin/ironwake
	$(INSTALL) -D -m 755 $(IRONWAKE_BUILT)/ironwake-console $(TARGET_DIR)/usr/bin/ironwake-console
endef

# Nothing of it is run by this board. Firmware of virtual machines is for tests, and stays behind.
define IRONWAKE_INSTALL_SERVED
	$(INSTALL) -D -m 644 $(IRONWAKE_AGENT) $(TARGET_DIR)/usr/lib/ironwake/ironwake-agent
	rm -rf $(TARGET_DIR)/usr/lib/ironwake/boot
	mkdir -p $(TARGET_DIR)/usr/lib/ironwake/boot
	cd $(IRONWAKE_BOOT_FILES) && \
		cp -R --parents loaders rescue memtest86+ kernel pci.ids manifest.json $(TARGET_DIR)/usr/lib/ironwake/boot
	python3 -I $(@D)/appliance/make/boot_manifest.py $(TARGET_DIR)/usr/lib/ironwake/boot
	find $(TARGET_DIR)/usr/lib/ironwake/boot -type f -exec chmod 644 {} +
endef

# Units, rules and settings as they are installed everywhere, but for the builder of Debian images, whose tools are Debian's.
# Without a configuration the appliance is not set up, and asks.
define IRONWAKE_INSTALL_UNITS
	cp -R $(@D)/systemd/. $(TARGET_DIR)/
	rm -f $(TARGET_DIR)/usr/lib/systemd/system/ironwake-builder.service
	mkdir -p $(TARGET_DIR)/usr/share/ironwake
	mv $(TARGET_DIR)/etc/ironwake/ironwake.toml $(TARGET_DIR)/usr/share/ironwake/ironwake.toml
	mkdir -p $(TARGET_DIR)/usr/local/lib/systemd
	ln -sfn /etc/ironwake/network $(TARGET_DIR)/usr/local/lib/systemd/network
endef

define IRONWAKE_INSTALL_TARGET_CMDS
	$(IRONWAKE_INSTALL_PROGRAMS)
	$(IRONWAKE_INSTALL_SERVED)
	$(IRONWAKE_INSTALL_UNITS)
endef

# The numbers are those of appliance/accounts: /var outlives versions.
define IRONWAKE_USERS
	ironwake 900 ironwake 900 * /var/lib/ironwake - ironwake-console,ironwake-ssh Ironwake boot appliance
	ironwake-builder 901 ironwake-builder 901 * /var/lib/ironwake-builder - ironwake Ironwake builder
	ironwake-console 902 ironwake-console 902 * - - - Ironwake console
	ironwake-ssh 903 ironwake-ssh 903 * /var/lib/ironwake-ssh - - Ironwake console over SSH
endef

$(eval $(cargo-package))
