"""Generation metadata, in files as the programs write them, to ``meta.gen``."""

import io
import json

import pytest
from PIL import Image, PngImagePlugin

from gendata.ingest import SourceParams
from gendata.ingest.marks import find

A1111 = """a castle on a hill, <lora:stone-walls:0.7> <lora:fog:1>
by night
Negative prompt: blurry,
people
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 832x1216, \
Model hash: 31e35c80fc, Model: sdxl, VAE: "a, b.safetensors", Hashes: {"vae": "1", "model": "2"}, \
Lora hashes: "stone-walls: 48523d, fog: 99ab", Version: v1.10.1"""


def png(**texts):
    buffer, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key.replace("_", "-") if key == "sd_metadata" else key, text)
    Image.new("RGB", (4, 3), (1, 2, 3)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def gen(**texts):
    return find(png(**texts), "image/png").meta.get("gen")


def test_automatic1111():
    assert gen(parameters=A1111) == {
        "tool": "AUTOMATIC1111",
        "prompt": "a castle on a hill, <lora:stone-walls:0.7> <lora:fog:1>\nby night",
        "negative_prompt": "blurry,\npeople",
        "model": "sdxl",
        "model_hash": "31e35c80fc",
        "seed": 2**64 - 1,
        "sampler": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 28,
        "cfg": 6.5,
        "width": 832,
        "height": 1216,
        "loras": [
            {"name": "stone-walls", "weight": 0.7, "hash": "48523d"},
            {"name": "fog", "weight": 1, "hash": "99ab"},
        ],
        "other": {"VAE": "a, b.safetensors", "Hashes": {"vae": "1", "model": "2"}, "Version": "v1.10.1"},
    }


@pytest.mark.parametrize(
    ("version", "tool"),
    [
        ("Version: f2.0.1v1.10.1", "Forge"),
        ("Version: ComfyUI", "ComfyUI"),
        ("Version: Fooocus v2.1.865", "Fooocus"),
        ("App: SD.Next, Version: 0ec9c91", "SD.Next"),
        ("Version: v1.6", "AUTOMATIC1111"),
    ],
)
def test_others_that_write_the_same_text(version, tool):
    found = gen(parameters=f"a castle\nSteps: 20, Sampler: Euler, Seed: 7, {version}\nTemplate: a {{x}}")
    assert (found["tool"], found["prompt"], found["seed"]) == (tool, "a castle", 7)
    assert found["other"]["rest"] == "Template: a {x}"
    assert "negative_prompt" not in found


def test_parameters_of_a_prompt_alone_or_with_commas_and_quotes_that_do_not_fit():
    assert gen(parameters="just a castle") is None
    found = gen(parameters='Steps: 3, Odd: "never closed, Seed: 5, : , nothing, Model: m')
    assert (found["steps"], found["seed"], found["model"]) == (3, 5, "m")


GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl\\sdxl.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["10", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["10", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "b.safetensors", "strength_model": 0.5, "model": ["11", 0], "clip": ["11", 1]},
    },
    "11": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "a.safetensors", "strength_model": 0.9, "model": ["4", 0], "clip": ["4", 1]},
    },
}  # fmt: skip

COMFY = {
    "tool": "ComfyUI",
    "prompt": "a castle",
    "negative_prompt": "watermark",
    "model": "sdxl",
    "seed": 156680208700286,
    "sampler": "euler",
    "scheduler": "normal",
    "steps": 20,
    "cfg": 8,
    "width": 512,
    "height": 768,
    "loras": [{"name": "a", "weight": 0.9}, {"name": "b", "weight": 0.5}],
}


def test_comfyui():
    assert gen(prompt=json.dumps(GRAPH), workflow=json.dumps({"nodes": [], "links": []})) == COMFY
    assert gen(workflow=json.dumps({"nodes": [], "links": [], "version": 0.4})) == {"tool": "ComfyUI"}


def test_comfyui_with_control_the_parts_of_a_sampler_and_texts_of_other_nodes():
    graph = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.sft"}},
        "2": {"class_type": "CLIPTextEncodeFlux", "inputs": {"clip_l": ["3", 0], "t5xxl": "a long text"}},
        "3": {"class_type": "PrimitiveString", "inputs": {"value": "a castle"}},
        "4": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["2", 0]}},
        "5": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["4", 0]}},
        "6": {"class_type": "RandomNoise", "inputs": {"noise_seed": 99}},
        "7": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "8": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 25, "model": ["1", 0]}},
        "9": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["6", 0], "guider": ["5", 0], "sampler": ["7", 0], "sigmas": ["8", 0],
                "latent_image": ["10", 0],
            },
        },
        "10": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 1024}},
    }  # fmt: skip
    found = gen(prompt=json.dumps(graph))
    assert found == {
        "tool": "ComfyUI", "prompt": "a long text\na castle", "model": "flux1-dev", "seed": 99, "sampler": "euler",
        "scheduler": "simple", "steps": 25, "width": 1024, "height": 1024,
    }  # fmt: skip
    controlled = json.loads(json.dumps(GRAPH))
    control = {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["21", 0], "image": ["22", 0]}
    controlled["20"] = {"class_type": "ControlNetApplyAdvanced", "inputs": control}
    controlled["21"] = {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "canny"}}
    controlled["22"] = {"class_type": "LoadImage", "inputs": {"image": "x.png", "text": "not of the prompt"}}
    controlled["3"]["inputs"] |= {"positive": ["20", 0], "negative": ["20", 1], "seed": ["23", 0]}
    controlled["23"] = {"class_type": "Seed (rgthree)", "inputs": {"seed": 5}}
    assert gen(prompt=json.dumps(controlled)) == COMFY | {"seed": 5}
    zeroed = json.loads(json.dumps(GRAPH))
    zeroed["3"]["inputs"]["negative"] = ["30", 0]
    zeroed["30"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    assert "negative_prompt" not in gen(prompt=json.dumps(zeroed))


def test_the_graph_of_several_samplers_is_told_from_what_is_saved():
    graph = json.loads(json.dumps(GRAPH))
    graph["1"] = {"class_type": "KSampler", "inputs": graph["3"]["inputs"] | {"seed": 1}}  # its image is not saved
    assert gen(prompt=json.dumps({"1": graph.pop("1"), **graph}))["seed"] == 156680208700286


def test_invokeai():
    new = {
        "generation_mode": "sdxl_txt2img", "positive_prompt": "a castle", "negative_prompt": "fog", "width": 1024,
        "height": 768, "seed": 42, "cfg_scale": 7.5, "steps": 30, "scheduler": "euler",
        "model": {"key": "k", "hash": "blake3:ab", "name": "sdxl", "base": "sdxl"},
        "loras": [{"model": {"name": "stone", "hash": "x"}, "weight": 0.75}], "app_version": "5.0.0",
    }  # fmt: skip
    assert gen(invokeai_metadata=json.dumps(new)) == {
        "tool": "InvokeAI", "prompt": "a castle", "negative_prompt": "fog", "model": "sdxl", "model_hash": "blake3:ab",
        "seed": 42, "sampler": "euler", "steps": 30, "cfg": 7.5, "width": 1024, "height": 768,
        "loras": [{"name": "stone", "weight": 0.75, "hash": "x"}],
        "other": {"generation_mode": "sdxl_txt2img", "app_version": "5.0.0"},
    }  # fmt: skip
    older = {
        "model_weights": "stable-diffusion-1.5", "model_hash": "cc6c", "app_id": "invoke-ai/InvokeAI",
        "image": {
            "prompt": [{"prompt": "a castle", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512,
            "width": 512, "seed": 9, "sampler": "k_lms", "type": "txt2img",
        },
    }  # fmt: skip
    dream = '"a castle [fog]" -s 50 -S 9 -W 512 -H 512 -C 7.5 -A k_lms'
    known = {"tool": "InvokeAI", "seed": 9, "sampler": "k_lms", "steps": 50, "cfg": 7.5, "width": 512, "height": 512}
    assert gen(Dream=dream) == known | {"prompt": "a castle [fog]"}
    assert gen(sd_metadata=json.dumps(older)) == known | {
        "prompt": "a castle", "model": "stable-diffusion-1.5", "model_hash": "cc6c", "other": {"type": "txt2img"},
    }  # fmt: skip


NOVEL = {
    "Title": "NovelAI generated image",
    "Description": "a castle",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 4F49EC75",
    "Comment": json.dumps(
        {"prompt": "a castle", "steps": 28, "height": 1216, "width": 832, "scale": 5.0, "seed": 3, "uc": "lowres",
         "sampler": "k_euler_ancestral", "noise_schedule": "karras", "n_samples": 1}
    ),
}  # fmt: skip


def test_novelai():
    known = {
        "tool": "NovelAI", "prompt": "a castle", "negative_prompt": "lowres", "model": "NovelAI Diffusion V4",
        "model_hash": "4F49EC75", "seed": 3, "sampler": "k_euler_ancestral", "scheduler": "karras", "steps": 28,
        "cfg": 5, "width": 832, "height": 1216, "other": {"n_samples": 1},
    }  # fmt: skip
    assert gen(**NOVEL) == known
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + json.dumps(NOVEL).encode()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "WEBP", exif=exif)
    assert find(buffer.getvalue(), "image/webp").meta["gen"] == known


def test_fooocus_and_swarmui():
    fooocus = {
        "base_model": "juggernautXL_v8", "base_model_hash": "aeb7", "guidance_scale": 4, "metadata_scheme": "fooocus",
        "loras": [["offset.safetensors", 0.1, "4852"]], "prompt": "a castle", "negative_prompt": "",
        "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "12", "steps": 30,
    }  # fmt: skip
    assert gen(parameters=json.dumps(fooocus), fooocus_scheme="fooocus") == {
        "tool": "Fooocus", "prompt": "a castle", "model": "juggernautXL_v8", "model_hash": "aeb7", "seed": 12,
        "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "steps": 30, "cfg": 4, "width": 1152, "height": 896,
        "loras": [{"name": "offset", "weight": 0.1, "hash": "4852"}], "other": {"metadata_scheme": "fooocus"},
    }  # fmt: skip
    swarm = {
        "prompt": "a castle", "negativeprompt": "fog", "model": "Flux/dev.safetensors", "seed": 4, "steps": 8,
        "cfgscale": 1.0, "width": 64, "height": 32, "loras": ["l"], "loraweights": ["0.5"], "swarm_version": "0.9",
    }  # fmt: skip
    assert gen(parameters=json.dumps({"sui_image_params": swarm})) == {
        "tool": "SwarmUI", "prompt": "a castle", "negative_prompt": "fog", "model": "dev", "seed": 4, "steps": 8,
        "cfg": 1, "width": 64, "height": 32, "loras": [{"name": "l", "weight": 0.5}], "other": {"swarm_version": "0.9"},
    }  # fmt: skip


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + A1111.encode("utf-16-be"),
        b"UNICODE\0" + A1111.encode("utf-16-le"),
        b"UNICODE\0" + A1111.encode("utf-16"),
        b"UNICODE\0" + A1111.encode(),
        b"ASCII\0\0\0" + A1111.encode(),
        b"JIS\0\0\0\0\0" + A1111.encode("iso2022_jp"),
        bytes(8) + A1111.encode(),
        A1111.encode(),
    ],
)
def test_a_user_comment_however_it_is_written(format_, comment):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, format_, exif=exif)
    found = find(buffer.getvalue(), f"image/{format_.lower()}")
    assert found.meta["gen"] == gen(parameters=A1111)
    assert found.found == [{"mark": "exif:UserComment", "generator": "AUTOMATIC1111"}]


def test_a_japanese_prompt_in_utf_16():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "山の上の城\nSteps: 9, Seed: 1".encode("utf-16-be")
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "JPEG", exif=exif)
    assert find(buffer.getvalue(), "image/jpeg").meta["gen"]["prompt"] == "山の上の城"


def test_comfyui_in_the_exif_of_a_webp():
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = "prompt:" + json.dumps(GRAPH), 'workflow:{"nodes": [], "links": []}'
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "WEBP", exif=exif)
    found = find(buffer.getvalue(), "image/webp")
    assert found.meta["gen"] == COMFY
    assert {mark["mark"] for mark in found.found} == {"exif:Make", "exif:Model"}


def test_what_one_text_lacks_another_says():
    found = gen(parameters="a castle\nSteps: 3, Seed: 5, Model: x", prompt=json.dumps(GRAPH))
    assert (found["seed"], found["model"], found["scheduler"], found["width"]) == (5, "x", "normal", 512)


def test_midjourney():
    job = "a castle --ar 16:9 --v 6.1 Job ID: 01234567-89ab-cdef-0123-456789abcdef"
    assert gen(Description=job) == {"tool": "Midjourney", "prompt": "a castle --ar 16:9 --v 6.1"}


def test_meta_gen_of_an_ingested_file(project, run):
    (project / "out").mkdir()
    (project / "out/castle.png").write_bytes(png(parameters=A1111))
    item = run(SourceParams("folder", "unknown", "out")).item("castle.png")
    meta = json.loads(item["meta"])
    assert item["origin"] == "generated"
    assert meta["gen"]["model"] == "sdxl"
    assert meta["ai"] == [{"mark": "png:parameters", "generator": "AUTOMATIC1111"}]
