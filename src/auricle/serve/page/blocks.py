"""What the page looks like: three tabs of gradio's components, and which handler each control calls."""

from pathlib import Path
from typing import Any

import gradio as gr

from auricle.serve.gateway import Gateway
from auricle.serve.page.analysis import QUESTIONS, Analysis
from auricle.serve.page.conversation import Conversation
from auricle.serve.page.memory import Memory
from auricle.serve.page.stay import Stays
from auricle.serve.page.transcription import FORMATS, LANGUAGES, TRANSCRIBE, TRANSLATE, Transcription
from auricle.serve.page.uploads import Uploads
from auricle.serve.page.voice import VOICE

_STATE_S = 3600  # what an idle browser session has said is forgotten after so long
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
_FILES = ["audio", "video"]
_HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(gateway: Gateway, folder: Path) -> gr.Blocks:
    """The page's components; uploads and downloads lie in `folder`."""
    settings = gateway.settings
    stays, uploads, memory = Stays(gateway), Uploads(gateway, folder), Memory()
    with gr.Blocks(title="Auricle", analytics_enabled=False, delete_cache=(_STATE_S, _STATE_S)) as blocks:
        gr.HTML(f"<header><h1>Auricle</h1><p>It hears and answers. Model: {settings.model_name}</p></header>")
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Voice chat", id="voice"):
                gr.HTML(VOICE, elem_id="voice", apply_default_css=False)
            with gr.Tab("Analysis", id="analysis"):
                _analysis(Analysis(stays, uploads, memory, gateway.service.defaults))
            with gr.Tab("Transcription", id="transcription"):
                _transcription(Transcription(stays, uploads, folder))

        async def leave(request: gr.Request) -> None:
            for kept in (stays, uploads, memory):
                kept.leave(str(request.session_hash))

        blocks.unload(leave)
    at_once = settings.max_concurrency + settings.max_queue
    blocks.state_session_capacity = 4 * at_once
    blocks.queue(max_size=at_once, default_concurrency_limit=at_once, api_open=False)
    return blocks


def theme() -> gr.themes.ThemeClass:
    """One accent colour, the system's own fonts: nothing is fetched."""
    accent, grey = gr.themes.colors.teal, gr.themes.colors.slate
    base = gr.themes.Base(
        primary_hue=accent, secondary_hue=accent, neutral_hue=grey, font=_FONTS, font_mono=_MONO, radius_size="sm"
    )
    return base.set(  # darker than gradio's own, for contrast
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
    )


def _analysis(tab: Analysis) -> None:
    past = gr.State(Conversation(), time_to_live=_STATE_S)
    with gr.Row():
        with gr.Column():
            files = gr.File(label="Recordings", file_count="multiple", file_types=_FILES, height=140)
            recorded = gr.Audio(
                label="Or record one", sources=["microphone"], type="filepath", editable=False, buttons=[]
            )
            pictures = gr.HTML(elem_id="analysis-heard", apply_default_css=False)
        with gr.Column():
            chat = gr.Chatbot(
                label="Conversation",
                height=320,
                buttons=[],
                feedback_options=None,
                render_markdown=False,
                allow_tags=False,
                latex_delimiters=[],
                placeholder="Add a recording and ask about it.",
                elem_id="analysis-chat",
            )
            question = gr.Textbox(
                label="Question", placeholder=QUESTIONS[0], lines=1, max_lines=4, max_length=8000, elem_id="question"
            )
            with gr.Row(elem_classes="actions"):
                ask = gr.Button("Ask", variant="primary", size="md", min_width=80)
                stop = gr.Button("Stop", size="md", min_width=80)
                clear = gr.Button("Clear", size="md", min_width=80)
            status = gr.HTML(elem_id="analysis-status", apply_default_css=False)
            examples = gr.Dataset(
                components=[question], samples=[[text] for text in QUESTIONS], label="Questions to try", type="values"
            )
            with gr.Accordion("Settings", open=False):
                temperature = gr.Slider(0, 2, value=0, step=0.1, label="Temperature (0 is the likeliest answer)")
                max_tokens = gr.Slider(16, 1024, value=256, step=16, label="Longest answer, in tokens")
    outputs = [chat, question, pictures, status, past]
    inputs = [question, files, recorded, past, temperature, max_tokens]
    gr.on([ask.click, question.submit], tab.ask, inputs, outputs, trigger_mode="multiple", **_HIDDEN)
    examples.click(lambda sample: sample[0], examples, question, **_HIDDEN)
    stop.click(tab.stop, **_HIDDEN)
    gr.on([clear.click, chat.clear], tab.clear, None, [*outputs, files, recorded], **_HIDDEN)


def _transcription(tab: Transcription) -> None:
    with gr.Row():
        with gr.Column():
            file = gr.File(label="Recording, of any length", file_types=_FILES, height=140)
            task = gr.Radio([TRANSCRIBE, TRANSLATE], value=TRANSCRIBE, label="Task")
            language = gr.Dropdown([("Find out", "auto"), *LANGUAGES], value="en", label="Language spoken")
            to = gr.Dropdown([name for name, _ in LANGUAGES], value="English", label="Translate to", visible=False)
            with gr.Row(elem_classes="actions"):
                start = gr.Button("Start", variant="primary", size="md", min_width=80)
                stop = gr.Button("Stop", size="md", min_width=80)
        with gr.Column():
            status = gr.HTML(elem_id="transcription-status", apply_default_css=False)
            picture = gr.HTML(elem_id="transcription-heard", apply_default_css=False)
            text = gr.HTML(elem_id="transcript", apply_default_css=False)
            with gr.Row(elem_classes="downloads"):
                downloads = [
                    gr.DownloadButton(f"Download {name}", visible=False, size="sm", min_width=110) for name in FORMATS
                ]
    start.click(
        tab.start, [file, task, language, to], [text, picture, status, *downloads], trigger_mode="multiple", **_HIDDEN
    )
    stop.click(tab.stop, **_HIDDEN)
    task.change(lambda chosen: gr.update(visible=chosen == TRANSLATE), task, to, **_HIDDEN)
