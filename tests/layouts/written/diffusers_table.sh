accelerate launch train_dreambooth_lora_sdxl.py \
  --dataset_name=merged --image_column=image --caption_column=text \
  --instance_prompt "a photo of ohwx person" --resolution 768
