include $(sort $(wildcard $(BR2_EXTERNAL_IRONWAKE_PATH)/package/*/*.mk))
