namespace Tern.Tests.Text.Templates;

/// <summary>
/// Templates with the constructs of the families that Tern runs, written for these tests, and conversations with the text
/// that Python's jinja2 makes of them in the environment of Hugging Face.
/// </summary>
internal static class ChatTemplateSamples
{
    public static IReadOnlyDictionary<string, string> Templates { get; } = new Dictionary<string, string>
    {
        ["Llama"] =
            """""
            {{- bos_token }}
            {%- if not today is defined %}
                {%- set today = "7 Mar 2026" %}
            {%- endif %}
            {#- The first message may be instructions. #}
            {%- if messages[0]['role'] == 'system' %}
                {%- set instructions, rest = messages[0]['content']|trim, messages[1:] %}
            {%- else %}
                {%- set instructions, rest = "", messages %}
            {%- endif %}
            {%- macro head(who) %}{{ '<|head|>' ~ who ~ '<|/head|>\n\n' }}{% endmacro %}
            {{- head('system') + "It is " + today + ".\n" }}
            {%- if tools is not none %}
                {%- for t in tools %}
                    {{- t | tojson(indent=4) }}
                    {{- "\n" }}
                {%- endfor %}
            {%- endif %}
            {{- instructions + "<|eot_id|>" }}
            {%- for m in rest %}
                {%- if 'tool_calls' in m %}
                    {%- if not m.tool_calls|length == 1 %}
                        {{- raise_exception("one call at a time") }}
                    {%- endif %}
                    {%- set f = m.tool_calls[0].function %}
                    {{- head(m.role) }}
                    {{- '{"name": "' + f.name + '", "parameters": ' -}}
                    {{ f.arguments | tojson }}
                    {{- "}<|eot_id|>" }}
                {%- elif m.role == 'tool' or m.role == 'ipython' %}
                    {{- head('ipython') }}
                    {%- if m.content is mapping or m.content is iterable %}
                        {{- m.content | tojson }}
                    {%- else %}
                        {{- m.content }}
                    {%- endif %}
                    {{- "<|eot_id|>" }}
                {%- else %}
                    {{- head(m['role']) + m['content'] | trim + '<|eot_id|>' }}
                {%- endif %}
            {%- endfor %}
            {%- if add_generation_prompt %}
                {{- head('assistant') }}
            {%- endif %}

            """"",
        ["Qwen3"] =
            """""
            {%- set last = namespace(question=-1) %}
            {%- for m in messages[::-1] if m.role == 'user' and not m.content.startswith('<result>') %}
                {%- if last.question < 0 %}
                    {%- set last.question = messages.index(m) %}
                {%- endif %}
            {%- endfor %}
            {%- if tools or messages[0].role == 'system' %}
                {{- '<|im_start|>system\n' }}
                {{- messages[0].content if messages[0].role == 'system' }}
                {%- if tools %}
                    {{- '\n<tools>' }}
                    {%- for tool in tools %}{{ '\n' ~ tool | tojson }}{% endfor %}
                    {{- '\n</tools>' }}
                {%- endif %}
                {{- '<|im_end|>\n' }}
            {%- endif %}
            {%- for m in messages %}
                {%- set text = m.content if m.content is string else '' %}
                {%- if m.role == 'user' %}
                    {{- '<|im_start|>user\n' + text + '<|im_end|>\n' }}
                {%- elif m.role == 'assistant' %}
                    {%- set thought = '' %}
                    {%- if '</think>' in text %}
                        {%- set thought = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                        {%- set text = text.split('</think>')[-1].lstrip('\n') %}
                    {%- endif %}
                    {{- '<|im_start|>assistant\n' }}
                    {%- if thought and loop.index0 > last.question %}
                        {{- '<think>\n' + thought.strip('\n') + '\n</think>\n\n' }}
                    {%- endif %}
                    {{- text }}
                    {%- for call in m.tool_calls %}
                        {%- if text or not loop.first %}{{ '\n' }}{% endif %}
                        {%- if call.function %}
                            {%- set call = call.function %}
                        {%- endif %}
                        {{- '<call>' ~ call.name ~ ' ' }}
                        {{- call.arguments if call.arguments is string else call.arguments | tojson }}
                        {{- '</call>' }}
                    {%- endfor %}
                    {{- '<|im_end|>\n' }}
                {%- elif m.role == 'tool' %}
                    {%- if loop.previtem is not defined or loop.previtem.role != 'tool' %}
                        {{- '<|im_start|>user' }}
                    {%- endif %}
                    {{- '\n<result>\n' ~ text ~ '\n</result>' }}
                    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
                        {{- '<|im_end|>\n' }}
                    {%- endif %}
                {%- endif %}
            {%- endfor %}
            {%- if add_generation_prompt %}
                {{- '<|im_start|>assistant\n' }}
                {%- if enable_thinking is defined and enable_thinking is false %}
                    {{- '<think>\n\n</think>\n\n' }}
                {%- endif %}
            {%- endif %}
            """"",
        ["Gemma"] =
            """""
            {{ bos_token }}
            {%- set before = namespace(text='') -%}
            {%- set turns = messages -%}
            {%- if messages[0]['role'] == 'system' -%}
                {%- set before.text = messages[0]['content'] + '

            ' -%}
                {%- set turns = messages[1:] -%}
            {%- endif -%}
            {%- for turn in turns -%}
                {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) -%}
                    {{ raise_exception("user and assistant must alternate, message " ~ loop.index ~ " is by " ~ turn.role) }}
                {%- endif -%}
                {{ '<turn>' + ('model' if turn['role'] == 'assistant' else turn['role']) + '
            ' + (before.text if loop.first else "") }}
                {%- if turn['content'] is string -%}
                    {{ turn['content'] | trim }}
                {%- elif turn['content'] is iterable -%}
                    {%- for part in turn['content'] if part['type'] == 'text' -%}
                        {{ part['text'] | trim }}
                    {%- endfor -%}
                {%- else -%}
                    {{ raise_exception("content of an unknown kind") }}
                {%- endif -%}
                {{ '</turn>
            ' }}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{'<turn>model
            '}}
            {%- endif -%}

            """"",
        ["ChatMl"] =
            """""
            {% for message in messages %}
            {{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}
            {%- endfor %}
            {% if add_generation_prompt %}
            {{ '<|im_start|>assistant\n' }}{% endif %}

            """"",
        ["Falcon3"] =
            """""
            {%- if tools %}
            {{- '<|system|>\nTools: ' + tools|map(attribute='function')|map(attribute='name')|join(', ') + '\n' }}
            {%- endif %}
            {%- for message in messages if message['role'] in ['system', 'user', 'assistant'] -%}
            {{- '<|' + message['role'] + '|>\n' + message['content'] }}
            {%- if not loop.last or message['role'] == 'assistant' %}{{ eos_token if message['role'] == 'assistant' else '' }}{% endif -%}
            {{ '\n' }}
            {%- endfor -%}
            {%- if add_generation_prompt %}{{- '<|assistant|>\n' -}}{% endif %}

            """"",
    };

    /// <summary>A template's name, a request, and the text.</summary>
    public static TheoryData<string, string, string> Cases => new()
    {
        {
            "Llama",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<s><|head|>system<|/head|>\n\nIt is 7 Mar 2026.\nBe brief.<|eot_id|><|head|>user<|/head|>\n\nHi, 世界!<|eot_id|><|head|>assistant<|/head|>\n\n<think>\nhm\n</think>\n\nHello.<|eot_id|><|head|>user<|/head|>\n\nAnd?<|eot_id|><|head|>assistant<|/head|>\n\n"
        },
        {
            "Llama",
            """{"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2}}}]}, {"role": "tool", "content": "{\"t\": 21.5}"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "tools": [{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}}}]}""",
            "<s><|head|>system<|/head|>\n\nIt is 7 Mar 2026.\n{\n    \"type\": \"function\",\n    \"function\": {\n        \"name\": \"weather\",\n        \"description\": \"It's <b>\",\n        \"parameters\": {\n            \"type\": \"object\",\n            \"properties\": {\n                \"city\": {\n                    \"type\": \"string\"\n                }\n            },\n            \"required\": []\n        }\n    }\n}\n<|eot_id|><|head|>user<|/head|>\n\nWeather?<|eot_id|><|head|>assistant<|/head|>\n\n{\"name\": \"weather\", \"parameters\": {\"city\": \"Köln\", \"days\": 2}}<|eot_id|><|head|>ipython<|/head|>\n\n\"{\\\"t\\\": 21.5}\"<|eot_id|><|head|>assistant<|/head|>\n\n"
        },
        {
            "Llama",
            """{"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Köln\", \"days\": 2}"}}]}, {"role": "tool", "content": "{\"t\": 21.5}"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "today": "1 Jan 2030", "tools": [{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}}}]}""",
            "<s><|head|>system<|/head|>\n\nIt is 1 Jan 2030.\n{\n    \"type\": \"function\",\n    \"function\": {\n        \"name\": \"weather\",\n        \"description\": \"It's <b>\",\n        \"parameters\": {\n            \"type\": \"object\",\n            \"properties\": {\n                \"city\": {\n                    \"type\": \"string\"\n                }\n            },\n            \"required\": []\n        }\n    }\n}\n<|eot_id|><|head|>user<|/head|>\n\nWeather?<|eot_id|><|head|>assistant<|/head|>\n\n{\"name\": \"weather\", \"parameters\": {\"city\": \"Köln\", \"days\": 2}}<|eot_id|><|head|>ipython<|/head|>\n\n\"{\\\"t\\\": 21.5}\"<|eot_id|><|head|>assistant<|/head|>\n\n"
        },
        {
            "Qwen3",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi, 世界!<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
        },
        {
            "Qwen3",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": false, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi, 世界!<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n"
        },
        {
            "Qwen3",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "enable_thinking": false}""",
            "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi, 世界!<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
        },
        {
            "Qwen3",
            """{"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2}}}]}, {"role": "tool", "content": "{\"t\": 21.5}"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "tools": [{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}}}]}""",
            "<|im_start|>system\n\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"It's <b>\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": []}}}\n</tools><|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n<call>weather {\"city\": \"Köln\", \"days\": 2}</call><|im_end|>\n<|im_start|>user\n<result>\n{\"t\": 21.5}\n</result><|im_end|>\n<|im_start|>assistant\n"
        },
        {
            "Qwen3",
            """{"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Köln\", \"days\": 2}"}}]}, {"role": "tool", "content": "{\"t\": 21.5}"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "tools": [{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}}}]}""",
            "<|im_start|>system\n\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"It's <b>\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": []}}}\n</tools><|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n<call>weather {\"city\": \"Köln\", \"days\": 2}</call><|im_end|>\n<|im_start|>user\n<result>\n{\"t\": 21.5}\n</result><|im_end|>\n<|im_start|>assistant\n"
        },
        {
            "Gemma",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<s><turn>user\n Be brief. \n\nHi, 世界!</turn>\n<turn>model\n<think>\nhm\n</think>\n\nHello.</turn>\n<turn>user\nAnd?</turn>\n<turn>model\n"
        },
        {
            "Gemma",
            """{"messages": [{"role": "user", "content": [{"type": "text", "text": " a "}, {"type": "text", "text": "b"}]}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<s><turn>user\nab</turn>\n<turn>model\n"
        },
        {
            "ChatMl",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi, 世界!<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\nHello.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
        },
        {
            "ChatMl",
            """{"messages": [{"role": "user", "content": [{"type": "text", "text": " a "}, {"type": "text", "text": "b"}]}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|im_start|>user\n a \nb<|im_end|>\n<|im_start|>assistant\n"
        },
        {
            "Falcon3",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "And?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|system|>\n Be brief. \n<|user|>\nHi, 世界!\n<|assistant|>\n<think>\nhm\n</think>\n\nHello.</s>\n<|user|>\nAnd?\n<|assistant|>\n"
        },
        {
            "Falcon3",
            """{"messages": [{"role": "user", "content": "Weather?"}], "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "tools": [{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}}}]}""",
            "<|system|>\nTools: weather\n<|user|>\nWeather?\n<|assistant|>\n"
        },
        {
            "Falcon3",
            """{"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi, 世界!"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}], "add_generation_prompt": false, "bos_token": "<s>", "eos_token": "</s>"}""",
            "<|system|>\n Be brief. \n<|user|>\nHi, 世界!\n<|assistant|>\n<think>\nhm\n</think>\n\nHello.</s>\n"
        },
    };
}
