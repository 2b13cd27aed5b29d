from __future__ import annotations

from collections.abc import Callable

import pytest
from tokens import has_tokenizer, tokens_in

from qwen_code.agent.listing import MAX_TOKENS, listed_line

_WORKS = "Extracts text and tables from PDF files, fills forms. Use when the user mentions PDFs. "
DESCRIPTIONS = {
    "short": "Reads PDFs.",
    "english": _WORKS * 12,
    "agent": "Use this agent when you need to review code for adherence to project guidelines, "
    "style guides, and best practices. <example>Context: the user wrote code.</example>" * 5,
    "lines": "one\n  two\n\tthree",
    "spanish": "Extrae texto y tablas de archivos, rellena formularios de facturación electrónica "
    "y combina documentos cuando el usuario los menciona en la conversación",
    "german": "Rechtsschutzversicherungsgesellschaften prüfen Abhängigkeitsaktualisierungen, "
    "Donaudampfschifffahrtsgesellschaften und Arbeitsunfähigkeitsbescheinigungen",
    "finnish": "Poimii tekstiä ja taulukoita tiedostoista, täyttää lomakkeita ja yhdistää "
    "asiakirjoja käyttäjän pyynnöstä sekä tarkistaa ohjelmakoodia",
    "polish": "Wyodrębnia tekst i tabele z plików, wypełnia formularze i łączy dokumenty, gdy "
    "użytkownik o tym wspomina w rozmowie",
    "vietnamese": "Trích xuất văn bản và bảng từ tệp, điền biểu mẫu và hợp nhất tài liệu khi "
    "người dùng đề cập đến các biểu mẫu",
    "russian": "Извлекает текст и таблицы из файлов, заполняет формы и объединяет документы. " * 4,
    "chinese": "当用户需要处理电子表格文件时使用此技能，包括创建数据透视表、生成图表以及分析数据。"
    * 4,
    "japanese": "PDFファイルからテキストと表を抽出し、フォームに記入し、文書を結合します。" * 4,
    "korean": "사용자가 스프레드시트를 다룰 때 이 스킬을 사용하세요. 피벗 테이블을 만듭니다. " * 4,
    "thai": "ใช้ทักษะนี้เมื่อทำงานกับสเปรดชีตและสร้างแผนภูมิเพื่อวิเคราะห์ข้อมูล" * 4,
    "hindi": "स्प्रेडशीट के साथ काम करते समय इस कौशल का उपयोग करें और चार्ट बनाएं " * 4,
    "arabic": "استخدم هذه المهارة عند العمل مع جداول البيانات وإنشاء الرسوم البيانية " * 4,
    "emoji": "🚀🔥👩‍👩‍👧‍👦🏳️‍🌈 " * 20,
    "paths": "src/components/**/*.tsx packages/*/src/index.ts ~/.config/foo/bar.yaml --fix-dry-run "
    "node_modules/.bin/eslint for the files of the project",
    "addresses": "Use https://host/v1/users?id=42&sort=desc and https://host/serde_json/latest/",
    "commands": "kubectl get pods -n kube-system; helm upgrade --install nginx ingress/nginx -f "
    "values.yaml; istioctl for the cluster",
    "names": "XMLHttpRequest OAuth2 RSA256 gRPC protobuf GraphQL NestJS TypeORM PostgreSQL "
    "MongoDB rabbitMQ S3 EC2 IAM VPC with the SDK",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" * 4,
    "base64": "NHhGsgSf4K0hjMNw3m7GAg21m3jj9i8ARkmPa5zw29IIUIzQ" * 6,
    "letters": "szyci pyop zgdpamnty woi sdkaaa amvgnxaqhyo rhlhvhyoja rudfuxjdx xwqnqvgj spq " * 4,
    "capitals": "A" * 300,
    "signs": r"!?;:,.<>{}[]()@#$%^&*~`|\/+-=_" * 6,
    "numbers": "1234567890 " * 30,
    "mathematics": "∑∫√∞≈≠≤≥∂∇αβγδεζηθ" * 6,
    "invisible": "a\u200bb\u200dc" * 60,
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
@pytest.mark.parametrize("name", ["pdf", "extract-invoice-tables", "x-" * 31 + "x"])
def test_a_line_costs_at_most_forty_tokens(
    kind: str, name: str, require: Callable[[str, bool], None]
) -> None:
    require("tokenizer", has_tokenizer())
    line = listed_line(name, DESCRIPTIONS[kind])
    assert tokens_in(line) <= MAX_TOKENS, line
    assert line.startswith(f"- {name[:30]}")
    assert "\n" not in line


def test_what_fits_is_whole_and_what_does_not_ends_at_a_word() -> None:
    assert listed_line("pdf", "Reads  PDFs.\nUse it.") == "- pdf: Reads PDFs. Use it."
    line = listed_line("pdf", DESCRIPTIONS["english"])
    assert line.endswith("…")
    assert f"{_WORKS * 12}".startswith(line.removeprefix("- pdf: ").rstrip("…"))
    assert len(line) > 120
