"""Synthetic MR objects with an identifier in about a hundred places each, every one of them different."""

from __future__ import annotations

import random
import struct
from io import BytesIO

import numpy as np
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.corpus.deid.planter import SYNTAXES, VENDORS, Person, Planted, Planter


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _geometry(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-100.5, 20.25, float(-3 * index)]
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.PixelSpacing = [0.625, 0.625]
    ds.SliceThickness, ds.SpacingBetweenSlices = "4", "4.4"
    ds.RepetitionTime, ds.EchoTime, ds.FlipAngle, ds.EchoTrainLength = "3210.5", "98", "150", "15"
    ds.MagneticFieldStrength, ds.ImagingFrequency, ds.MRAcquisitionType = "3", "123.2545", "2D"
    ds.InstanceNumber, ds.SeriesNumber, ds.AcquisitionNumber = index + 1, 4, 1


def _identity(ds: Dataset, who: Person, p: Planter) -> None:
    ds.PatientName = f"{who.name}={p.wide()}^{p.wide()}=やまだ^{p.name()}"
    ds.PatientID, ds.IssuerOfPatientID = who.mrn, p.name()
    p.plants += [who.mrn, who.mrn.lstrip("0"), *who.name.split("^"), who.study, who.series, who.frame]
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge, ds.PatientWeight, ds.PatientSize = (
        p.date(),
        "F",
        "091Y",
        "71.5",
        "1.69",
    )
    ds.OtherPatientIDs, ds.OtherPatientNames = [p.digits(), p.ident()], [p.person(), p.person()]
    ds.PatientBirthName, ds.PatientMotherBirthName = p.person(), p.person()
    ds.PatientAddress, ds.PatientTelephoneNumbers = (
        f"12 {p.name()} Street, {p.name()}, IL 62701",
        [p.phone(), p.phone()],
    )
    ds.MilitaryRank, ds.BranchOfService, ds.MedicalRecordLocator = p.name(), p.name(), p.ident()
    ds.InsurancePlanIdentification, ds.Occupation = p.ident(), f"{p.name()} teacher"
    ds.CountryOfResidence, ds.RegionOfResidence, ds.PatientReligiousPreference = p.name(), p.name(), p.name()
    ds.ResponsiblePerson, ds.ResponsibleOrganization = p.person(), p.name()
    ds.PatientTelecomInformation, ds.EthnicGroup = f"{p.name().lower()}@{p.name().lower()}.org", p.name()
    ds.AdditionalPatientHistory, ds.PatientComments = p.prose(), p.prose()
    ds.MedicalAlerts, ds.Allergies, ds.PatientState, ds.SpecialNeeds = p.name(), p.name(), p.name(), p.name()


def _visit(ds: Dataset, who: Person, p: Planter) -> None:
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = who.study, who.series, p.uid()
    ds.FrameOfReferenceUID, ds.InstanceCreatorUID, ds.SynchronizationFrameOfReferenceUID = (
        who.frame,
        p.uid(),
        p.uid(),
    )
    for keyword in (
        "StudyDate",
        "SeriesDate",
        "AcquisitionDate",
        "ContentDate",
        "InstanceCreationDate",
        "PerformedProcedureStepStartDate",
    ):
        setattr(ds, keyword, p.date())
    ds.AcquisitionDateTime = p.date() + "101530.250000"
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(ds, keyword, "101530.25")
    ds.AccessionNumber, ds.StudyID = p.ident(), p.digits()
    ds.ReferringPhysicianName, ds.ReferringPhysicianAddress = p.person(), f"{p.name()} Road 4"
    ds.ReferringPhysicianTelephoneNumbers, ds.RequestingPhysician, ds.RequestingService = (
        p.phone(),
        p.person(),
        p.name(),
    )
    ds.PhysiciansOfRecord, ds.PerformingPhysicianName = [p.person(), p.person()], p.person()
    ds.NameOfPhysiciansReadingStudy, ds.OperatorsName, ds.ConsultingPhysicianName = (
        p.person(),
        p.person(),
        p.person(),
    )
    ds.InstitutionName, ds.InstitutionAddress = f"{p.name()} Hospital", f"{p.name()} Street"
    ds.InstitutionalDepartmentName, ds.StationName, ds.StationAETitle = (
        p.name(),
        p.ident(),
        p.name().upper()[:16],
    )
    p.plants[-1] = p.plants[-1][:16]
    ds.DeviceSerialNumber, ds.GantryID, ds.PlateID, ds.DetectorID, ds.DeviceID = (
        p.digits(),
        p.ident(),
        p.ident(),
        p.ident(),
        p.ident(),
    )
    ds.AdmissionID, ds.ServiceEpisodeID, ds.CurrentPatientLocation = p.ident(), p.ident(), p.name()
    ds.AdmittingDiagnosesDescription, ds.VisitComments, ds.StudyComments = (
        p.prose()[:64],
        p.prose(),
        p.prose(),
    )
    ds.RequestedProcedureID, ds.RequestedProcedureDescription = p.ident(), f"MRI LUMBAR {p.name()}"
    ds.PerformedProcedureStepID, ds.PerformedProcedureStepDescription = p.ident(), f"MR SPINE {p.name()}"
    ds.ClinicalTrialSponsorName, ds.ClinicalTrialSubjectID, ds.ClinicalTrialSiteName = (
        p.name(),
        p.ident(),
        p.name(),
    )
    ds.ReasonForStudy, ds.ReasonForTheRequestedProcedure = p.name(), p.name()


def _descriptions(ds: Dataset, vendor: dict[str, object], p: Planter) -> None:
    for keyword, value in vendor.items():
        setattr(ds, keyword, value)
    ds.StudyDescription = f"MRI L-SPINE {p.name()} {p.slashed()}"
    ds.AcquisitionComments, ds.ImageComments, ds.FrameComments = p.prose(), p.prose(), p.prose()
    ds.DerivationDescription, ds.ContributionDescription = p.prose(), p.prose()
    ds.SoftwareVersions, ds.ProtocolName = (
        [f"syngo MR E11 {p.name()}"],
        f"{vendor['ProtocolName']} {p.name()}",
    )
    ds.TransmitCoilName, ds.ContrastBolusAgent = f"Body {p.name()}"[:16], f"Gadavist {p.name()}"
    p.plants[-2] = p.plants[-2][:11]
    ds.RescaleType, ds.PositionReferenceIndicator, ds.StackID = p.name()[:12], p.name(), p.name()[:12]
    p.plants[-3], p.plants[-1] = p.plants[-3][:12], p.plants[-1][:12]
    ds.ImageType = [*list(vendor["ImageType"]), p.name().upper()]
    ds.RetrieveURL, ds.TextValue = f"http://{p.name().lower()}.example/{p.digits()}", p.prose()
    ds.WindowCenterWidthExplanation, ds.LUTExplanation = p.name(), p.name()


def _nested(ds: Dataset, p: Planter) -> None:
    code = _item(CodeValue=p.ident(), CodingSchemeDesignator="99LOCAL", CodeMeaning=p.name())
    ds.InstitutionCodeSequence = [code]
    ds.ProcedureCodeSequence = [
        _item(CodeValue=p.digits(12), CodingSchemeDesignator=p.name()[:12], CodeMeaning=p.prose()[:64])
    ]
    p.plants.append(ds.ProcedureCodeSequence[0].CodingSchemeDesignator)
    ds.OperatorIdentificationSequence = [
        _item(
            InstitutionName=p.name(),
            PersonIdentificationCodeSequence=[
                _item(CodeMeaning=p.name(), CodeValue=p.digits(12), CodingSchemeDesignator="L")
            ],
            PersonTelephoneNumbers=p.phone(),
        )
    ]
    ds.OtherPatientIDsSequence = [
        _item(PatientID=p.digits(), IssuerOfPatientID=p.name(), TypeOfPatientID="TEXT")
    ]
    ds.RequestAttributesSequence = [
        _item(
            ScheduledProcedureStepDescription=f"T2 SAG {p.name()}",
            RequestedProcedureID=p.ident(),
            AccessionNumber=p.ident(),
            ReasonForRequestedProcedureCodeSequence=[_item(CodeMeaning=p.name())],
        )
    ]
    image = _item(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=p.uid())
    image.PurposeOfReferenceCodeSequence = [
        _item(CodeValue="121311", CodingSchemeDesignator="DCM", CodeMeaning=p.name())
    ]
    image.PatientName = p.person()
    ds.ReferencedImageSequence = [image]
    deep = _item(
        PatientName=p.person(),
        PatientComments=p.prose(),
        StudyDate=p.date(),
        SeriesDescription=f"T1 {p.name()}",
    )
    deep.OriginalAttributesSequence = [_item(PatientID=p.digits())]
    ds.DerivationCodeSequence = [
        _item(SourceImageSequence=[_item(ReferencedSOPInstanceUID=p.uid(), RelatedSeriesSequence=[deep])])
    ]
    ds.ReferencedStudySequence = [
        _item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=p.uid())
    ]
    ds.ReferencedPatientSequence = [_item(ReferencedSOPInstanceUID=p.uid(), PatientName=p.person())]
    ds.OriginalAttributesSequence = [
        _item(
            ModifyingSystem=p.name(),
            ModifiedAttributesSequence=[_item(PatientName=p.person(), PatientID=p.digits())],
        )
    ]
    ds.ContentSequence = [_item(TextValue=p.prose(), PersonName=p.person())]
    ds.AcquisitionContextSequence = [
        _item(TextValue=p.prose(), ConceptNameCodeSequence=[_item(CodeMeaning=p.name())])
    ]
    ds.PerformedProtocolCodeSequence = [_item(LongCodeValue=p.name(), CodeMeaning=f"MR {p.name()}")]
    ds.IconImageSequence = [_item(Rows=2, Columns=2, BitsAllocated=8, PixelData=p.name().encode())]


def _hidden(ds: Dataset, p: Planter, little: bool) -> None:
    block = ds.private_block(0x0009, f"{p.name()} HEADER", create=True)
    block.add_new(0x01, "LO", p.name())
    block.add_new(0x02, "UN", p.prose().encode())
    block.add_new(0x03, "SQ", Sequence([_item(PatientName=p.person(), PatientComments=p.prose())]))
    siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "800")
    siemens.add_new(0x0F, "SH", p.name())
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(
        0x10, "OB", (p.prose() + " ").encode() * 3 + b"\x00"
    )
    ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x70, "LO", p.name())
    ds.add_new(0x60000010, "US", 4)
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60001500, "LO", p.name())
    ds.add_new(0x60003000, "OB", p.name().encode())
    ds.add_new(0x60004000, "LT", p.name())
    ds.add_new(0x50002500, "LO", p.name())
    ds.add_new(0x50003000, "OB", p.name().encode())
    if little:
        odd = p.name().encode()
        ds[0x00189FF0] = RawDataElement(BaseTag(0x00189FF0), "LO", len(odd), odd, 0, False, True)
        ds[0x00102201] = RawDataElement(
            BaseTag(0x00102201), "UN", len(odd), p.name().encode()[: len(odd)], 0, False, True
        )
        p.plants[-1] = p.plants[-1][: len(odd)]
    ds.add_new(0x20300020, "LO", p.name())
    ds.add_new(0x40004000, "LT", p.prose())
    ds.add_new(0x00880906, "ST", p.prose())


def _image(ds: Dataset, rng: random.Random, high_bits: bool) -> np.ndarray:
    generator = np.random.default_rng(rng.randint(0, 2**31))
    pixels = generator.integers(0, 4096, (64, 64)).astype(np.uint16)
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 64, 64, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    stored = pixels | (0xA000 if high_bits else 0)
    ds.PixelData = stored.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return pixels


def planted_file(who: Person, *, vendor: str, syntax: str, seed: int, index: int = 0) -> Planted:
    """One file of a vendor in a transfer syntax with about a hundred and fifty plants."""
    rng = random.Random(seed)
    p = Planter(rng)
    with config.disable_value_validation():
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID, ds.Modality = UID("1.2.840.10008.5.1.4.1.1.4"), "MR"
        _visit(ds, who, p)
        _identity(ds, who, p)
        _descriptions(ds, VENDORS[vendor], p)
        _geometry(ds, index)
        _nested(ds, p)
        _hidden(ds, p, little=syntax != "big")
        pixels = _image(ds, rng, high_bits=syntax in ("explicit", "implicit", "big", "deflated"))
        data = _file(ds, syntax, p)
    return Planted(data, list(dict.fromkeys(p.plants)), ds, pixels, vendor, syntax)


def _file(ds: Dataset, syntax: str, p: Planter) -> bytes:
    uid = SYNTAXES[syntax]
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, UID("1.2.3.4")
    meta.ImplementationVersionName = p.name()[:16]
    meta.SourceApplicationEntityTitle, meta.SendingApplicationEntityTitle = p.name()[:16], p.name()[:16]
    meta.ReceivingApplicationEntityTitle = p.name()[:16]
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = UID(p.uid()), p.name().encode() + b"\x00"
    ds.file_meta = meta
    if syntax in ("rle", "j2k"):
        ds.compress(uid, generate_instance_uid=False)
        ds["PixelData"].is_undefined_length = True
        if syntax == "j2k":
            frame = next(generate_frames(ds.PixelData, number_of_frames=1))
            ds.PixelData = encapsulate([_with_comment(frame, p.name().encode())])
    elif syntax == "big":
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    meta.TransferSyntaxUID = uid
    ds.preamble = p.name().encode().ljust(128, b"\x00")
    buffer = BytesIO()
    dcmwrite(
        buffer, ds, implicit_vr=syntax == "implicit", little_endian=syntax != "big", enforce_file_format=False
    )
    if syntax == "deflated":
        return buffer.getvalue()
    return buffer.getvalue() + p.name().encode() * 3


def _with_comment(codestream: bytes, text: bytes) -> bytes:
    segment = b"\xff\x64" + struct.pack(">HH", len(text) + 4, 1) + text
    after_size = 4 + struct.unpack(">H", codestream[4:6])[0]
    return codestream[:after_size] + segment + codestream[after_size:]


def enhanced_file(who: Person, *, seed: int, frames: int = 3) -> Planted:
    """An Enhanced MR object with plants in its shared and per-frame functional groups."""
    rng = random.Random(seed)
    p = Planter(rng)
    with config.disable_value_validation():
        ds = Dataset()
        ds.SpecificCharacterSet, ds.Modality = "ISO_IR 192", "MR"
        ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.1")
        _visit(ds, who, p)
        _identity(ds, who, p)
        _descriptions(ds, VENDORS["philips"], p)
        pixels = np.random.default_rng(seed).integers(0, 4096, (frames, 8, 8)).astype(np.uint16)
        ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = 8, 8, frames, 1
        ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored = "MONOCHROME2", 16, 12
        ds.HighBit, ds.PixelRepresentation = 11, 0
        timing = _item(RepetitionTime="3000", FlipAngle="90", EchoTrainLength=15)
        ds.SharedFunctionalGroupsSequence = [
            _item(
                MRTimingAndRelatedParametersSequence=[timing],
                PixelMeasuresSequence=[_item(PixelSpacing=[0.5, 0.5], SliceThickness="4")],
                PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                ReferencedImageSequence=[
                    _item(ReferencedSOPInstanceUID=p.uid(), ReferencedSOPClassUID=ds.SOPClassUID)
                ],
            )
        ]
        groups = []
        for n in range(frames):
            content = _item(
                FrameAcquisitionDateTime=p.date() + "101530",
                FrameComments=p.prose(),
                FrameLabel=p.name(),
                StackID="1",
            )
            content.InStackPositionNumber = n + 1
            echo = _item(EffectiveEchoTime=98.0)
            private = _item(FrameType=["ORIGINAL", "PRIMARY", "T2", p.name().upper()])
            groups.append(
                _item(
                    FrameContentSequence=[content],
                    MREchoSequence=[echo],
                    PlanePositionSequence=[_item(ImagePositionPatient=[0, 0, n * 4.0])],
                    MRImageFrameTypeSequence=[private],
                )
            )
        ds.PerFrameFunctionalGroupsSequence = groups
        ds.PixelData = pixels.astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
        data = _file(ds, "explicit", p)
    return Planted(data, list(dict.fromkeys(p.plants)), ds, pixels, "philips", "explicit")
